"""Why a run failed stands with its job: lines of the engine itself, of one that died of anything, and of workers."""

import os
import subprocess
import sys
import threading
import time

import pytest

from db import chunks
from server import engine as engine_module
from server import supervisor
from server.last_words import KEPT_LINES, LastWords
from server.lines import Lines
from server.settings import Settings
from server.supervisor import Engines, ended
from tests.observing import logging_to_pipe, work_once
from tests.remote import RECIPE, small_race, use
from tests.working import until

DYING = """
import faulthandler, json, os, signal, sys
faulthandler.enable()
print(json.dumps({"event": "chunk_begins", "job": "another"}), file=sys.stderr)
print(json.dumps({"event": "chunk_begins", "job": sys.argv[1]}), file=sys.stderr)
print("token igla_abcdefghijklmnop", file=sys.stderr, flush=True)
os.kill(os.getpid(), signal.SIGSEGV)
"""


def held_job(runtime, name="cup", **settings):
    small_race(runtime, name, **settings)
    ticket = use(runtime, "claim_job", worker="w", race=name)["tickets"][0]
    return {"job_id": ticket["job_id"], "fence": ticket["fence"]}


def request(runtime, held):
    with runtime.store.transaction() as session:
        chunks.request(session, held["job_id"], held["fence"], None, runtime.context().now)


def log_of(runtime, held):
    return use(runtime, "job_status", job_id=held["job_id"])["log_tail"]


@pytest.mark.parametrize(
    ("error", "said"), [(RuntimeError("out of memory"), "RuntimeError: out of memory"), (MemoryError(), "MemoryError")]
)
def test_an_engine_that_fails_leaves_its_lines_with_the_job(runtime, monkeypatch, error, said):
    held = held_job(runtime)
    request(runtime, held)

    def fail(**_):
        raise error

    monkeypatch.setattr(engine_module, "run_chunk", fail)
    assert log_of(runtime, held) == ""
    with logging_to_pipe(Settings(log_format="json"), "engine") as (output, _):
        work_once(runtime, output)
    lines = log_of(runtime, held).split("\n")
    assert "chunk_begins" in lines[0]
    assert said in lines[-1]
    assert use(runtime, "job_status", job_id=held["job_id"])["job"]["state"] == "errored"


def test_a_run_that_cannot_go_on_leaves_its_reason(runtime):
    held = held_job(runtime, recipes=[{**RECIPE, "gradients": "fp64"}])
    request(runtime, held)
    with logging_to_pipe(Settings(log_format="json"), "engine") as (output, _):
        work_once(runtime, output)
    status = use(runtime, "job_status", job_id=held["job_id"])
    assert status["job"]["state"] == "errored", status
    assert '"event": "run_failed"' in status["log_tail"]
    assert status["job"]["reason"][:40] in status["log_tail"]


def test_a_worker_s_reasons_are_kept_when_the_next_one_claims(runtime):
    held = held_job(runtime)
    use(runtime, "release_job", **held, reason="failed on box-1: CUDA out of memory, key igla_abcdefghijklmnop")
    use(runtime, "claim_job", worker="w2", race="cup")
    said = log_of(runtime, held)
    assert "given back by worker: failed on box-1: CUDA out of memory, key [redacted]" in said


class Dying(Engines):
    """A supervisor whose processes are short scripts."""

    def command(self, name):
        return [sys.executable, "-c", self.script, self.job]


def test_the_last_lines_of_a_crashed_engine_stand_with_its_job_and_its_death_is_counted(runtime):
    held = held_job(runtime)
    request(runtime, held)
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as output, Dying(runtime.settings, 0, output, store=runtime.store) as engines:
        engines.script, engines.job = DYING, held["job_id"]
        with runtime.store.transaction() as session:
            chunks.lease(session, "engine-x", runtime.context().now, 60.0)
        engines.running["engine-x"] = engines.child("engine-x", 0.0)
        said = until(lambda: log_of(runtime, held), 30)
    assert "Segmentation fault" in said
    assert "token [redacted]" in said
    assert held["job_id"] in said
    assert "another" not in said
    assert "engine-x ended unasked: SIGSEGV" in said.split("\n")[-1]
    assert runtime.store.meters.new["process_deaths", (("kind", "engine"),)] >= 1
    with os.fdopen(reading, "rb") as passed_on:
        assert b"Segmentation fault" in passed_on.read()


def test_a_process_that_could_not_be_started_again_is_tried_once_more(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "AGAIN_SECONDS", 0.0)
    refused = []

    class Short(Dying):
        script, job = "import sys; sys.stdin.read()", ""

        def start(self, name):
            if refused:
                return super().start(name)
            refused.append(name)
            raise OSError("cannot allocate memory")

    with open(os.devnull, "wb") as output, Short(Settings(data=tmp_path), 0, output) as engines:
        refused.append("not yet")
        first = engines.child("engine-x", time.monotonic())
        refused.clear()
        engines.running["engine-x"] = first
        first.process.kill()
        until(lambda: engines.running["engine-x"].process.poll() is None and refused, 30)
        assert engines.running["engine-x"] is not first


def test_a_process_that_writes_much_never_waits_for_a_reader_of_its_log():
    script = "import sys\nfor n in range(60_000): print('x' * 200, n, file=sys.stderr)"
    reading, writing = os.pipe()
    lines = Lines(writing, background=True)
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE)
    words = LastWords(process.stderr, lines)
    assert process.wait(60) == 0
    words.thread.join(10)
    assert words.said()[-1] == "x" * 200 + " 59999"
    assert len(words.said()) == KEPT_LINES
    draining = threading.Thread(target=lambda: [None for _ in iter(lambda: os.read(reading, 1 << 20), b"")])
    draining.start()
    lines.close()
    os.close(writing)
    draining.join(10)
    os.close(reading)


def test_an_end_is_told_in_words():
    assert ended(3) == "exit code 3"
    assert ended(-9) == "SIGKILL, which is how a system ends what takes too much memory"
    assert ended(-11) == "SIGSEGV"
