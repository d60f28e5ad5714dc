"""One row for each committed mutation, in its transaction, and no way for a row to change."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from db import audit, queue
from db.queue import QueueEmpty
from db.store import run
from db.tables_audit import AUDIT
from db.workers import seen

ROOT = Path(__file__).parents[2]


def entry(world, **other):
    usual = {
        "at": world.now, "principal": "ann", "credential": "igla_12345678", "doorway": "http", "action": "submit_job",
        "request_id": "r", "subject": {"race": "cup"},
    }  # fmt: skip
    return audit.Entry(**{**usual, **other})


def noting(world, **other):
    return world.store.noting(lambda session: audit.add(session, entry(world, **other)))


def work(session, world, name="w"):
    seen(session, name, "agent", world.now)


def test_the_first_transaction_that_commits_carries_the_row_and_the_next_ones_none(world):
    store = noting(world)
    for _ in range(3):
        with store.transaction() as session:
            work(session, world)
    (found,) = world.look(audit.rows)
    assert found == audit.AuditView(id=found.id, **vars(entry(world)))


def test_what_is_rolled_back_leaves_no_row_and_what_commits_after_it_one(world, unchanged):
    store = noting(world)
    with unchanged(ZeroDivisionError), store.transaction() as session:
        work(session, world)
        _ = 1 / 0
    with store.transaction() as session:
        work(session, world)
    assert len(world.look(audit.rows)) == 1


def test_a_row_that_cannot_be_written_takes_the_mutation_with_it(world, unchanged):
    store = world.store.noting(lambda session: audit.add(session, entry(world, principal=None)))
    with unchanged(Exception), store.transaction() as session:
        work(session, world)


def test_the_store_itself_goes_on_without_a_note(world):
    noting(world)
    with world.store.transaction() as session:
        work(session, world)
    assert world.look(audit.rows) == []


def claim(world, store):
    with store.transaction() as session:
        return queue.claim(session, worker="w", now=world.now, lease_seconds=60, judge=world.judge)


def test_an_empty_queue_leaves_no_row_unless_a_job_ended_on_the_way(world):
    store = noting(world)
    with pytest.raises(QueueEmpty):
        claim(world, store)
    assert world.look(audit.rows) == []
    world.submit(world.race(seeds=(1,)))
    for _ in range(queue.MAX_ATTEMPTS):
        world.claim_one()
        world.wait(100)
    with pytest.raises(QueueEmpty):
        claim(world, store)
    assert len(world.look(audit.rows)) == 1


def test_rows_are_listed_newest_first_in_pages_and_by_who_what_when_and_request(world):
    for number in range(5):
        with noting(world, principal="ann" if number % 2 else "bob", request_id=f"r{number}").transaction() as session:
            work(session, world)
        world.wait(10)
    found = world.look(audit.rows)
    assert [one.request_id for one in found] == ["r4", "r3", "r2", "r1", "r0"]
    first = world.look(audit.rows, 2)
    assert [one.request_id for one in (*first, *world.look(audit.rows, 2, before=first[-1].id))] == [
        "r4", "r3", "r2", "r1",
    ]  # fmt: skip
    for given, left in [
        ({"principal": "ann"}, ["r3", "r1"]), ({"request_id": "r2"}, ["r2"]), ({"action": "prune"}, []),
        ({"since": world.now - timedelta(seconds=20)}, ["r4", "r3"]),
    ]:  # fmt: skip
        assert [one.request_id for one in world.look(audit.rows, **given)] == left


def test_old_rows_are_swept_and_young_ones_stay(world):
    for _ in range(3):
        with noting(world).transaction() as session:
            work(session, world)
        world.wait(10)
    assert world.do(audit.sweep, world.now - timedelta(seconds=15)) == 2
    assert len(world.look(audit.rows)) == 1


def test_nothing_in_the_code_changes_a_row_and_only_sweeps_remove_one():
    code = {
        file: file.read_text(encoding="utf-8")
        for folder in ("db", "server", "tools", "bots")
        for file in (ROOT / folder).rglob("*.py")
    }
    changing = [file.name for file, text in code.items() if re.search(r"update\(\s*(\w+\.)?(AUDIT|TRAFFIC)\b", text)]
    removing = [file.name for file, text in code.items() if re.search(r"delete\(\s*(\w+\.)?(AUDIT|TRAFFIC)\b", text)]
    raw = [file.name for file, text in code.items() if re.search(r"(?i)(update|delete from)\s+(audit|traffic)\b", text)]
    assert (changing, raw) == ([], [])
    assert set(removing) <= {"audit.py", "traffic.py"}


def test_a_row_has_its_values_typed(world):
    with noting(world).transaction() as session:
        work(session, world)
    with world.store.reading() as session:
        row = run(session, select(AUDIT)).one()
    assert (row.at, row.subject) == (world.now, {"race": "cup"})
