"""Remote workers with a home of their own finish a race; one is killed in mid-chunk, and the numbers do not show it."""

import signal

import pytest
from sqlalchemy import text

from server.runtime import open_runtime
from server.settings import Settings
from tests.remote import small_race, use
from tests.serving import serving
from tests.tokens import token
from tests.working import ended, jobs, until

STEPS, CHUNKS = 240, 3


def finished(runtime, race):
    return all((job.state, job.provenance) == ("done", "measured") for job in jobs(runtime, race))


def curves(runtime, race):
    """Every number and digest of every sample."""
    names = ("step", "bpb", "nll_sum", "byte_count", "ema", "checkpoint", "environment", "provenance")
    status = {job.seed: use(runtime, "job_status", job_id=job.id)["curve"] for job in jobs(runtime, race)}
    return {seed: [tuple(one[name] for name in names) for one in curve] for seed, curve in status.items()}


@pytest.mark.slow
def test_two_workers_finish_a_race_though_one_is_killed_and_give_the_numbers_of_one(tmp_path, work):
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
            session.connection().execute(
                text("UPDATE job SET lease_expires_at = '2001-01-01 00:00:00' WHERE attempt = 1")
            )
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
