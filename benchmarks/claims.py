"""Claims on PostgreSQL: how long one takes, whether a longer queue slows it, and how it compares with plain SQL.

The work, for everybody: take a job, store one value for it and mark it done, in two transactions. The bare loop is what
a patient person writes with psycopg: UPDATE .. FOR UPDATE SKIP LOCKED .. RETURNING, then INSERT and UPDATE. Ours also
checks fence, recipe, value and checkpoint, keeps the lease, and judges the rung. Workers are processes.
"""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import log
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import psycopg

from benchmarks import tell
from benchmarks.stores import command, database, fill_jobs, postgres, race_database
from db import artifacts, queue, samples
from db.samples import Batch, SampleIn
from db.store import Store, open_store
from tools import judge

WORKERS = 4

BARE = """
CREATE TABLE bare (id text PRIMARY KEY, priority int NOT NULL, position bigserial, recipe text NOT NULL,
    seed bigint NOT NULL, state text NOT NULL, worker text, lease timestamptz, bpb float, finished_at timestamptz);
CREATE TABLE value (job_id text REFERENCES bare, step bigint, bpb float NOT NULL, PRIMARY KEY (job_id, step));
CREATE INDEX waiting ON bare (priority DESC, position) WHERE state = 'queued';
"""
FILL = """
INSERT INTO bare (id, priority, recipe, seed, state)
SELECT gen_random_uuid()::text, 50, md5(i::text) || md5('x' || i), i % 3, 'queued' FROM generate_series(1, {jobs}) i
"""
TAKE = """
UPDATE bare SET state = 'running', worker = %s, lease = %s
WHERE id = (SELECT id FROM bare WHERE state = 'queued' ORDER BY priority DESC, position LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id, recipe, seed
"""
STORE = "INSERT INTO value (job_id, step, bpb) VALUES (%s, 100, %s)"
DONE = "UPDATE bare SET state = 'done', bpb = %s, finished_at = %s WHERE id = %s AND state = 'running'"


@dataclass(frozen=True)
class Worked:
    """What workers did: jobs, seconds of the slowest, and the seconds of each claim."""

    jobs: int
    seconds: float
    claims: list[float]

    @property
    def rate(self) -> float:
        """Jobs a second."""
        return self.jobs / self.seconds

    def quantile(self, part: float) -> float:
        """Milliseconds of a claim."""
        return 1000 * sorted(self.claims)[int(len(self.claims) * part)]


def together(work: Callable[..., list[float]], url: str, jobs: int) -> Worked:
    """Let the workers do `jobs` each, beginning at one moment."""
    context = get_context("spawn")
    start, told = context.Barrier(WORKERS), context.Queue()
    processes = [context.Process(target=measured, args=(work, url, jobs, start, told)) for _ in range(WORKERS)]
    for process in processes:
        process.start()
    found = [told.get() for _ in processes]
    for process in processes:
        process.join()
    return Worked(WORKERS * jobs, max(took for took, _ in found), [one for _, claims in found for one in claims])


def measured(work: Callable[..., list[float]], url: str, jobs: int, start: Any, told: Any) -> None:
    """One worker: a few jobs to warm up, then all together."""
    work(url, jobs, told, start.wait)


def ours(url: str, jobs: int, told: Any, ready: Callable[[], Any]) -> None:
    """Claim and finish with the store."""
    store = open_store(url)
    name = f"w{os.getpid()}"
    for _ in range(WARM):
        finish(store, claim(store, name))
    ready()
    claims, began = [], time.perf_counter()
    for _ in range(jobs):
        asked = time.perf_counter()
        ticket = claim(store, name)
        claims.append(time.perf_counter() - asked)
        finish(store, ticket)
    told.put((time.perf_counter() - began, claims))
    store.close()


WARM = 20


def claim(store: Store, worker: str) -> queue.Ticket:
    """One job."""
    with store.transaction() as session:
        (ticket,) = queue.claim(session, worker=worker, now=datetime.now(UTC), lease_seconds=60, judge=judge)
    return ticket


def finish(store: Store, ticket: queue.Ticket) -> None:
    """Its last value, measured."""
    one = SampleIn(step=ticket.total_steps, bpb=2.0, nll_sum=2.0 * log(2) * 1000, byte_count=1000)
    batch = Batch(
        job_id=ticket.job_id, fence=ticket.fence, samples=(one,), effective_digest=ticket.recipe_digest,
        provenance="measured", checkpoint="checkpoint", environment="e", receipt=None, lease_seconds=60,
    )  # fmt: skip
    with store.transaction() as session:
        samples.write(session, batch, judge, datetime.now(UTC))


def bare(url: str, jobs: int, told: Any, ready: Callable[[], Any]) -> None:
    """Claim and finish with nothing but psycopg."""
    name = f"w{os.getpid()}"
    with psycopg.connect(url) as connection:
        for _ in range(WARM):
            bare_finish(connection, bare_claim(connection, name))
        ready()
        claims, began = [], time.perf_counter()
        for _ in range(jobs):
            asked = time.perf_counter()
            taken = bare_claim(connection, name)
            claims.append(time.perf_counter() - asked)
            bare_finish(connection, taken)
        told.put((time.perf_counter() - began, claims))


def bare_claim(connection: psycopg.Connection[Any], worker: str) -> str:
    """One job."""
    row = connection.execute(TAKE, (worker, datetime.now(UTC) + timedelta(seconds=60))).fetchone()
    connection.commit()
    assert row is not None
    return str(row[0])


def bare_finish(connection: psycopg.Connection[Any], job_id: str) -> None:
    """Its value."""
    connection.execute(STORE, (job_id, 2.0))
    connection.execute(DONE, (2.0, datetime.now(UTC), job_id))
    connection.commit()


def fill_bare(url: str, jobs: int) -> None:
    """A queue of plain rows."""
    command(url, BARE, FILL.format(jobs=jobs), "VACUUM ANALYZE", "CHECKPOINT")


def hold_checkpoint(url: str) -> None:
    """Note the file that every value of this benchmark names."""
    store = open_store(url)
    with store.transaction() as session:
        artifacts.record(session, "checkpoint", "checkpoint", 1, datetime.now(UTC))
    store.close()


def both(server: str, queued: int, jobs: int, rounds: int = 1) -> tuple[list[Worked], list[Worked]]:
    """Ours and the bare loop, in turns, on queues of this length."""
    mine, plain = [], []
    for _ in range(rounds):
        with race_database(server) as (url, race):
            fill_jobs(url, race, queued)
            hold_checkpoint(url)
            mine.append(together(ours, url, jobs))
        with database(server) as url:
            fill_bare(url, queued)
            plain.append(together(bare, url, jobs))
    return mine, plain


def main() -> None:
    """Every promise about claims."""
    quick = "--quick" in sys.argv
    jobs, long_queue = (250, 100_000) if quick else (1000, 1_000_000)
    with postgres(durable=True) as server:
        mine, plain = both(server, 100_000, jobs, rounds=2 if quick else 5)
        p99 = median(one.quantile(0.99) for one in mine)
        p50 = median(one.quantile(0.5) for one in mine)
        ratio = median(one.rate / other.rate for one, other in zip(mine, plain, strict=True))
        bare_p99 = median(one.quantile(0.99) for one in plain)
        tell("claims.p99_ms", p99, "ms", 10, p99 < 10, p50=p50, bare_p99=bare_p99, queued=100_000, workers=WORKERS)
        rates = {"ours": median(one.rate for one in mine), "bare": median(one.rate for one in plain)}
        tell("claims.vs_plain_sql", ratio, "", 0.5, ratio >= 0.5, jobs_a_second=rates)


if __name__ == "__main__":
    main()
