from datetime import UTC, datetime

import pytest
from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError

from db.statements import Prepared, inserting, new_values
from db.store import open_store, run
from db.tables import JOB, STANDING, WORKER
from tests.postgres import command

NOW = datetime(2030, 1, 1, tzinfo=UTC)
NAMED = Prepared(lambda _: select(WORKER).where(WORKER.c.name == bindparam("name")))
ADDED = Prepared(lambda _: insert(WORKER))
RENAMED = Prepared(
    lambda _: (
        update(WORKER).where(WORKER.c.name == bindparam("name")).values(new_values(WORKER, ["detail", "last_seen"]))
    )
)


def worker(name="w", **changes):
    return {"kind": "engine", "name": name, "first_seen": NOW, "last_seen": NOW, "detail": "", **changes}


def test_a_prepared_statement_gives_the_rows_that_the_same_statement_gives_otherwise(world):
    race = world.race(seeds=(1,))
    world.run_recipe(race, "a", [2.0])
    for table in (JOB, STANDING):
        with world.store.reading() as session:
            plain = run(session, select(table)).all()
            prepared = Prepared(lambda _, table=table: select(table)).rows(session)
        assert [tuple(row) for row in prepared] == [tuple(row) for row in plain]
        assert prepared[0]._asdict() == dict(plain[0]._mapping)
        assert [type(value) for value in prepared[0]] == [type(value) for value in plain[0]]


def test_values_go_in_typed_and_the_number_of_touched_rows_comes_out(world):
    with world.store.transaction() as session:
        assert ADDED.count(session, **worker("a")) == 1
        assert RENAMED.count(session, name="a", new_detail="pid 1", new_last_seen=NOW.replace(year=2031)) == 1
        assert RENAMED.count(session, name="nobody", new_detail="", new_last_seen=NOW) == 0
        row = NAMED.one_or_none(session, name="a")
        assert (row.detail, row.first_seen, row.last_seen) == ("pid 1", NOW, NOW.replace(year=2031))
        assert NAMED.one_or_none(session, name="nobody") is None


def test_rows_may_be_made_by_the_caller(world):
    pairs = Prepared(
        lambda _: select(WORKER.c.name, WORKER.c.kind).order_by(WORKER.c.name), lambda row: tuple(row)[::-1]
    )
    with world.store.transaction() as session:
        for name in "ab":
            ADDED.count(session, **worker(name))
        assert pairs.rows(session) == [("engine", "a"), ("engine", "b")]


def test_an_insert_may_give_way_to_a_row_that_is_there(world):
    kept = Prepared(lambda dialect: inserting(dialect, WORKER).on_conflict_do_nothing())
    with world.store.transaction() as session:
        assert [kept.count(session, **worker("a", detail=detail)) for detail in ("first", "second")] == [1, 0]
        assert NAMED.one_or_none(session, name="a").detail == "first"


def fail(session, **values):
    ADDED.count(session, **worker("a"))
    ADDED.count(session, **worker("a", **values))


def test_errors_are_those_of_every_other_statement_and_undo_the_transaction(world):
    with pytest.raises(IntegrityError):
        world.do(fail)
    with pytest.raises(StatementError, match="timezone"):
        world.do(fail, last_seen=datetime(2030, 1, 1))
    with world.store.reading() as session:
        assert NAMED.one_or_none(session, name="a") is None


def ask_on_a_dead_connection(store, server):
    with store.transaction() as session:
        pid = session.connection().connection.driver_connection.info.backend_pid
        command(server, f"SELECT pg_terminate_backend({pid}, 5000)")
        NAMED.rows(session, name="a")


def test_a_connection_that_broke_in_a_statement_is_not_used_again(postgresql, new_postgresql_url):
    store = open_store(new_postgresql_url, connections=1)
    with pytest.raises(DBAPIError) as broken:
        ask_on_a_dead_connection(store, postgresql)
    assert broken.value.connection_invalidated
    with store.reading() as session:
        assert NAMED.rows(session, name="a") == []
    store.close()
