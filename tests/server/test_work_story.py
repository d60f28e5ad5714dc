"""Two remote workers with a home of their own finish a race; one is killed in mid-chunk, and the numbers do not show it."""

import os
import signal
import subprocess
import sys
import time

import pytest
from sqlalchemy import text

from server.runtime import open_runtime
from server.settings import Settings
from tests.remote import small_race, use
from tests.serving import ROOT, serving
from tests.tokens import token

STEPS, CHUNKS = 600, 3
SECRET_NAMES = ("IGLA_DATA", "IGLA_DATABASE_URL", "DATABASE_URL", "IGLA_ADMIN_TOKEN")


def work(url, secret, home, *options):
    """`igla work` as on another machine: nothing of the server's in its folder, home or environment."""
    home.mkdir(exist_ok=True)
    scrubbed = {name: value for name, value in os.environ.items() if name not in SECRET_NAMES}
    environment = {**scrubbed, "PYTHONPATH": str(ROOT), "HOME": str(home), "IGLA_TOKEN": secret, "IGLA_SERVER": url}
    environment.pop("XDG_CACHE_HOME", None)
    command = [sys.executable, "-m", "server.cli", "work", *options]
    return subprocess.Popen(command, cwd=home, env=environment, stderr=subprocess.PIPE, text=True)


def until(look, seconds=90):
    """What `look` gives as soon as it gives something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.02)
    raise AssertionError("nothing came of it")


def jobs(runtime, race):
    with runtime.store.reading() as session:
        rows = session.connection().execute(
            text("SELECT job.id, seed, state, last_step, worker, attempt, job.provenance FROM job JOIN race "
                 "ON race.id = job.race_id WHERE race.name = :race ORDER BY seed"), {"race": race},
        )  # fmt: skip
        return rows.all()


def finished(runtime, race):
    return all((job.state, job.provenance) == ("done", "measured") for job in jobs(runtime, race))


def curves(runtime, race):
    """Every number and digest of every sample."""
    names = ("step", "bpb", "nll_sum", "byte_count", "ema", "checkpoint", "environment", "provenance")
    status = {job.seed: use(runtime, "job_status", job_id=job.id)["curve"] for job in jobs(runtime, race)}
    return {seed: [tuple(one[name] for name in names) for one in curve] for seed, curve in status.items()}


def ended(worker, how=signal.SIGTERM):
    worker.send_signal(how)
    said = worker.communicate(timeout=60)[1]
    return worker.returncode, said


@pytest.mark.slow
def test_two_workers_finish_a_race_though_one_is_killed_and_give_the_numbers_of_one(tmp_path):
    data = tmp_path / "server"
    secret = token(data, "fleet", "work")
    runtime = open_runtime(Settings(data=data))
    small_race(runtime, name="pair", seeds=(1, 2), steps=STEPS, chunks=CHUNKS)
    with serving(data, "--engines", "0", "--scorers", "1") as server:
        first = work(server.url, secret, tmp_path / "first", "--name", "first")
        held = until(lambda: [job for job in jobs(runtime, "pair") if job.worker == "first" and job.last_step])[0]
        code, _ = ended(first, signal.SIGKILL)
        assert code == -signal.SIGKILL
        now = {job.id: job for job in jobs(runtime, "pair")}[held.id]
        assert (now.state, now.last_step) == ("running", STEPS // CHUNKS)
        with runtime.store.transaction() as session:  # as if its lease had run out
            session.connection().execute(text("UPDATE job SET lease_expires_at = '2001-01-01 00:00:00' WHERE attempt = 1"))
        pair = [work(server.url, secret, tmp_path / name, "--name", name) for name in ("second", "third")]
        until(lambda: finished(runtime, "pair"))
        assert ended(pair[0])[0] == 0
        small_race(runtime, name="alone", seeds=(1, 2), steps=STEPS, chunks=CHUNKS)
        until(lambda: finished(runtime, "alone"))
        code, said = ended(pair[1])
    assert code == 0
    assert secret not in said
    assert curves(runtime, "pair") == curves(runtime, "alone")
    assert {job.worker for job in jobs(runtime, "pair")} == {"second", "third"}
    assert {job.worker for job in jobs(runtime, "alone")} == {"third"}
    assert {job.id: job.attempt for job in jobs(runtime, "pair")}[held.id] == 2
    (row,) = use(runtime, "leaderboard", race="pair")["rows"]
    assert (row["n"], row["provenance"]) == (2, "measured")
    assert [path.name for path in (tmp_path / "third").iterdir()] == [".cache"]
    assert list((tmp_path / "third" / ".cache" / "igla" / "runs").iterdir()) == []
    runtime.store.close()
