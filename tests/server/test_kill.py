"""Kill -9 anywhere: the finished curve equals the uninterrupted one bit for bit, and no acknowledged sample is lost."""

import asyncio
import random
import signal
import threading
import time

import httpx
import pytest
from sqlalchemy import text

from server.race import use
from server.runtime import open_runtime
from server.settings import Settings
from server.toolbox import toolbox
from tests import dying_engine
from tests.serving import ENGINE, TINY, Served

STEPS = 60
CHUNK = 6
PLAN = {"base": TINY, "budget_bytes": 9 * 256 * STEPS, "seeds": [7]}
TOOLS = toolbox()


class Job:
    """One job of a fresh race, driven by this test through the tools."""

    def __init__(self, data):
        self.runtime = open_runtime(Settings(data=data))
        asyncio.run(use(TOOLS["plan_race"], self.runtime, plan=PLAN, race="kill"))
        self.ticket = asyncio.run(use(TOOLS["claim_job"], self.runtime, worker="test"))["tickets"][0]
        assert self.ticket["total_steps"] == STEPS
        self.acknowledged = []

    def run(self):
        """Run the job in chunks of CHUNK steps; remembers every acknowledged sample."""
        while not self.acknowledged or self.acknowledged[-1]["step"] < STEPS:
            held = {"job_id": self.ticket["job_id"], "fence": self.ticket["fence"]}
            ran = asyncio.run(use(TOOLS["run_chunk"], self.runtime, steps=CHUNK, **held))
            self.acknowledged += ran["samples"]
        return self

    @property
    def stored(self):
        """What the store holds: every field of every sample that is a number or a digest of numbers."""
        status = asyncio.run(use(TOOLS["job_status"], self.runtime, job_id=self.ticket["job_id"], points=1000))
        assert status["job"]["state"] == "done"
        return [
            (s["step"], s["bpb"], s["nll_sum"], s["byte_count"], s["ema"], s["checkpoint"]) for s in status["curve"]
        ]


def stop(process):
    """As an operator does."""
    process.terminate()
    process.join(30)
    assert process.exitcode == 0


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    data = tmp_path_factory.mktemp("whole")
    job = Job(data)
    process = dying_engine.started(data)
    stored = job.run().stored
    stop(process)
    assert len(stored) == STEPS // CHUNK
    return stored


def points():
    """Ten seeded points of a run: seven steps, inside the writing of a checkpoint twice, and just before a commit."""
    chance = random.Random(20261121)
    return [*(("step", chance.randint(2, 11)) for _ in range(7)), ("write", 1), ("write", 3), ("commit", 2)]


@pytest.mark.slow
def test_an_engine_killed_at_ten_points_leaves_the_same_curve(tmp_path, uninterrupted):
    job = Job(tmp_path)
    driver = threading.Thread(target=job.run)
    driver.start()
    for point, count in points():
        process = dying_engine.started(tmp_path, point, count)
        process.join(120)
        assert process.exitcode == -signal.SIGKILL, (point, count)
    last = dying_engine.started(tmp_path)
    driver.join(120)
    stop(last)
    assert job.stored == uninterrupted
    acknowledged = [(s["step"], s["bpb"], s["nll_sum"], s["byte_count"]) for s in job.acknowledged]
    assert acknowledged == [row[:4] for row in uninterrupted]


@pytest.mark.slow
def test_a_server_killed_in_mid_race_leaves_the_same_curve(tmp_path, uninterrupted):
    acknowledged = []
    server = Served(tmp_path, *ENGINE)
    post(server, "plan_race", plan=PLAN, race="kill")
    ticket = post(server, "claim_job", worker="test")["tickets"][0]
    held = {"job_id": ticket["job_id"], "fence": ticket["fence"], "steps": CHUNK}
    for _ in range(2):
        acknowledged += post(server, "run_chunk", **held)["samples"]
        kill_while_it_trains(server, tmp_path, held)
        server = Served(tmp_path, *ENGINE)
    while not acknowledged or acknowledged[-1]["step"] < STEPS:
        acknowledged += post(server, "run_chunk", **held)["samples"]
    status = post(server, "job_status", job_id=ticket["job_id"], points=1000)
    server.stop()
    assert [(s["step"], s["bpb"], s["nll_sum"]) for s in status["curve"]] == [row[:3] for row in uninterrupted]
    assert {(s["step"], s["bpb"]) for s in acknowledged} <= {row[:2] for row in uninterrupted}


def post(server, tool, **arguments):
    """Call a tool over HTTP."""
    answer = httpx.post(f"{server.url}/api/{tool}", json=arguments, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()


def kill_while_it_trains(server, data, held):
    """Ask for a chunk and kill the server with SIGKILL while its engine is at work on it: no answer comes."""
    unanswered = []

    def ask():
        try:
            post(server, "run_chunk", **held)
        except httpx.HTTPError as error:
            unanswered.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    wait_until_leased(open_runtime(Settings(data=data)))
    server.stop(signal.SIGKILL)
    asking.join(60)
    assert unanswered


def wait_until_leased(runtime):
    """Look until an engine is at work on a request."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with runtime.store.reading() as session:
            if session.connection().execute(text("SELECT 1 FROM chunk_request WHERE state = 'leased'")).first():
                return
        time.sleep(0.01)
    raise AssertionError("no engine took the request")
