import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest

from db import changes, leases, tasks
from db.store import open_store
from server.clock import CHORES, LEADER, Chore, Clock
from tests.serving import ROOT

PATIENCE = 60.0

CLOCK = """
import os, sys, threading
from pathlib import Path
from server.clock import Chore, Clock
from server.runtime import open_runtime
from server.settings import Settings

def note(runtime, now):
    with open(sys.argv[2], "a") as file:
        file.write(f"{os.getpid()}\\n")
    return {}

chores = {"note": Chore(every_seconds=0.1, work=note)}
runtime = open_runtime(Settings(data=Path(sys.argv[1])))
Clock("clock", runtime, chores, lease_seconds=float(sys.argv[3])).serve(threading.Event())
"""


def until(look):
    deadline = time.monotonic() + PATIENCE
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def test_of_two_clocks_one_leads_and_the_other_follows_when_it_is_killed(tmp_path):
    noted, lease = tmp_path / "noted", 5.0
    noted.touch()
    command = [sys.executable, "-c", CLOCK, str(tmp_path / "data"), str(noted), str(lease)]
    clocks = {one.pid: one for one in (subprocess.Popen(command, cwd=ROOT) for _ in range(2))}
    try:
        (leader, *_) = until(noted.read_text).split()
        until(lambda: len(noted.read_text().split()) > 20)
        assert set(noted.read_text().split()) == {leader}
        clocks[int(leader)].send_signal(signal.SIGKILL)
        clocks[int(leader)].wait()
        killed = time.monotonic()
        until(lambda: len(set(noted.read_text().split())) == 2)
        assert time.monotonic() - killed < 2 * lease
        order = noted.read_text().split()
        assert order == sorted(order, key=lambda pid: pid != leader), "the first does nothing after the second began"
        store = open_store(f"sqlite:///{tmp_path / 'data' / 'igla.db'}")
        with store.reading() as session:
            assert leases.look(session, LEADER).fence == 2
        store.close()
    finally:
        for one in clocks.values():
            one.kill()
            one.wait()


@pytest.fixture
def clock(runtime):
    """A clock whose time the test moves, with one chore that is called by hand."""
    made = Clock("clock", runtime, {"chore": Chore(every_seconds=999, work=lambda *_: {})}, 15)
    yield made
    made.resign()


def test_a_clock_that_cannot_renew_leads_no_longer_than_its_lease_and_does_no_chore_after_it(clock):
    done = []
    clock.chores = {"chore": Chore(every_seconds=999, work=lambda *_: done.append(1) or {})}
    clock.look()
    assert clock.leads() and clock.timetable is not None
    clock.do("chore")
    clock.clock = lambda: datetime.now(UTC) + timedelta(seconds=16)
    assert not clock.leads()
    clock.do("chore")
    assert done == [1]


def test_who_resigns_lets_another_lead_at_once_and_who_lost_the_lease_ends_its_timetable(clock, runtime):
    other = Clock("clock", runtime, clock.chores, 15)
    clock.look()
    other.look()
    assert (clock.leads(), other.leads()) == (True, False)
    clock.resign()
    other.look()
    assert other.leads() and other.holder != clock.holder
    other.clock = lambda: datetime.now(UTC) - timedelta(seconds=60)
    with runtime.store.transaction() as session:
        leases.give_back(session, other.lease, datetime.now(UTC))
    clock.look()
    other.look()
    assert clock.leads() and other.timetable is None
    other.resign()
    assert clock.leads()


def test_a_chore_that_fails_is_told_and_does_not_stop_the_clock(clock):
    def fails(runtime, now):
        raise OSError("the disk is away")

    clock.chores = {"chore": Chore(every_seconds=999, work=fails)}
    clock.look()
    clock.do("chore")
    assert clock.leads()


def test_the_chores_remove_what_nobody_needs_and_may_be_repeated(runtime):
    orphan = runtime.artifacts.put(b"nobody names this")
    (runtime.artifacts.root / "half.part").write_bytes(b"cut short")
    now = datetime.now(UTC)
    with runtime.store.transaction() as session:
        old = tasks.add(session, "ann", "run_chunk", {}, now)
        held = tasks.add(session, "ann", "plan_race", {}, now, lease_seconds=90 * 24 * 3600)
        changes.tell(session, set(), 1)
    for name, chore in CHORES.items():
        assert sum(dict(chore.work(runtime, now)).values()) == (name == "forget_changes"), name
    later = now + timedelta(days=30)
    done = {name: dict(chore.work(runtime, later)) for name, chore in CHORES.items()}
    assert orphan not in runtime.artifacts
    assert done["collect_garbage"]["files"] == 1
    assert (done["sweep_folder"], done["forget_tasks"]) == ({"files": 1}, {"tasks": 1})
    with runtime.store.reading() as session:
        assert tasks.find(session, held.id, "ann") == held
        with pytest.raises(tasks.UnknownTask):
            tasks.find(session, old.id, "ann")
    for chore in CHORES.values():
        assert sum(dict(chore.work(runtime, later)).values()) == 0
