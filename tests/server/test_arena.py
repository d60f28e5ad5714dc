"""Runners put real entries through real trials, and what dies loses nothing."""

import json
import os
import signal
from pathlib import Path
from subprocess import PIPE

import pytest

from db import entry_runs, workers
from server.arena import Runner
from server.keys import signing_key
from tests.arena import entered, track_file
from tests.forked import ROOT, Forked
from tests.remote import use
from tests.working import until
from training.arena.receipts import verify
from training.arena.sandbox import why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=f"no sandbox here: {why_not()}")

PLAIN = (ROOT / "docs" / "examples" / "predict_plain.py").read_text()
SLEEPER = "import sys, time\nprint('asleep', flush=True)\ntime.sleep(600)\n"
MARK = 10**12 + os.getpid()
"""A seed that nobody else uses, by which the processes of an entry are known."""

LIMITS = {"train_seconds": 600, "predict_seconds": 20}


@pytest.fixture
def runner(runtime):
    return Runner(name="runner-0", runtime=runtime)


@pytest.fixture
def arena():
    """A function that starts an arena process; what still runs at the end of the test is killed."""
    made = []

    def start(runtime, *options):
        environment = {**os.environ, "IGLA_DATA": str(runtime.settings.data)}
        made.append(Forked(["arena", "--name", "runner-1", *options], env=environment, stdin=PIPE))
        return made[-1]

    yield start
    for process in made:
        process.kill()
        process.wait()
        process.stdin.close()


def asked(runtime, track, script=PLAIN, seeds=(1,), **changes):
    """The runs of a new entry."""
    entry = use(runtime, "submit_entry", **entered(script, **changes))["id"]
    return [run["id"] for run in use(runtime, "run_entry", entry=entry, track=track, seeds=list(seeds))["runs"]]


def seen(runtime, run):
    return use(runtime, "entry_status", run=run)["runs"][0]


def test_an_honest_entry_is_measured_on_private_text_with_a_receipt_that_can_be_checked(runtime, runner):
    (run,) = asked(runtime, track_file(runtime))
    assert runner.work_once()
    assert not runner.work_once()
    found = seen(runtime, run)
    assert (found["state"], found["provenance"], found["mode"]) == ("done", "measured", "predict")
    assert 1 < found["bpb"] < 6
    assert found["byte_count"] >= 4096
    assert (found["code_bytes"], found["measured_by"]) == (len(PLAIN), "runner-0")
    assert all(check["passed"] for check in found["checks"])
    claims = verify(json.loads(found["receipt"]), signing_key(runtime.settings.data).public_key())
    assert claims is not None
    assert (claims.run, claims.nll_sum, claims.byte_count) == (run, found["nll_sum"], found["byte_count"])
    assert claims.provenance == "measured"
    assert list(runner.home.iterdir()) == []


def test_a_receipt_that_says_something_else_is_no_receipt(runtime, runner):
    (run,) = asked(runtime, track_file(runtime))
    runner.work_once()
    receipt = json.loads(seen(runtime, run)["receipt"])
    key = signing_key(runtime.settings.data).public_key()
    assert verify({**receipt, "nll_sum": receipt["nll_sum"] / 2}, key) is None
    assert verify({**receipt, "provenance": "claimed"}, key) is None


def test_the_same_seed_gives_the_same_number_to_the_last_bit(runtime, runner):
    track = track_file(runtime)
    values = []
    for _ in range(2):
        (run,) = asked(runtime, track)
        runner.work_once()
        values.append(seen(runtime, run)["nll_sum"])
    assert values[0] == values[1]


def test_on_public_text_the_number_stays_claimed(runtime, runner):
    (run,) = asked(runtime, track_file(runtime, heldout="public"))
    runner.work_once()
    assert (seen(runtime, run)["state"], seen(runtime, run)["provenance"]) == ("done", "claimed")


@pytest.mark.parametrize(
    ("script", "check"), [("raise SystemExit(3)\n", "entry_failed"), (SLEEPER, "time_limit")], ids=["fails", "sleeps"]
)
def test_an_entry_that_fails_is_told_by_the_name_of_the_check(runtime, runner, script, check):
    (run,) = asked(runtime, track_file(runtime, limits={"train_seconds": 1}), script)
    runner.work_once()
    found = seen(runtime, run)
    assert (found["state"], found["failed"], found["provenance"], found["receipt"]) == ("failed", check, None, None)
    assert [one["name"] for one in found["checks"] if not one["passed"]] == [check]


def test_a_text_that_the_arena_cannot_read_is_no_verdict_on_the_entry(runtime, runner):
    (run,) = asked(runtime, track_file(runtime))
    runtime.artifacts.remove(seen(runtime, run)["corpus"])
    runner.work_once()
    found = seen(runtime, run)
    assert (found["state"], found["failed"]) == ("failed", entry_runs.ARENA_FAILED)
    assert "artifact_missing" in found["checks"][0]["detail"]


def asleep(runtime, run):
    """Whether the entry of a run sleeps: its runner holds it, and a box stands."""
    home = runtime.settings.data / "arena"
    return seen(runtime, run)["state"] == "leased" and any(home.rglob("box/root"))


@pytest.mark.parametrize("parent", [True, False], ids=["parent dies", "SIGTERM"])
def test_a_runner_that_is_told_to_stop_gives_its_run_back_at_once(runtime, arena, parent):
    (run,) = asked(runtime, track_file(runtime, limits=LIMITS), SLEEPER)
    process = arena(runtime, *(["--with-parent"] if parent else []))
    until(lambda: asleep(runtime, run))
    if parent:
        process.stdin.close()
    else:
        process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert seen(runtime, run)["state"] == "queued"
    with runtime.store.reading() as session:
        assert workers.alive(session, "arena", runtime.context().now, 60) == []


def test_a_runner_that_is_killed_takes_the_entry_with_it_and_its_run_is_taken_up_again(runtime, arena, runner):
    (run,) = asked(runtime, track_file(runtime, limits=LIMITS), SLEEPER, seeds=(MARK,))
    process = arena(runtime)
    until(lambda: asleep(runtime, run) and sleepers())
    process.kill()
    process.wait()
    until(lambda: not sleepers())
    assert seen(runtime, run)["state"] == "leased"
    with runtime.store.transaction() as session:
        again = entry_runs.lease(session, "runner-1", runtime.context().now, 30)
    assert (again.id, again.fence) == (run, 2)


def sleepers():
    """Processes on this machine that train an entry with the seed MARK."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if {b"/entry.py", b"train", str(MARK).encode()} <= set(words):
            found.append(folder.name)
    return found
