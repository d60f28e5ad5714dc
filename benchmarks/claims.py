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
from functools import partial
from math import log
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import psycopg

from benchmarks import tell
from benchmarks.peer_queues import fill_pgqueuer, fill_procrastinate, pgqueuer, procrastinate
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


Work = Callable[[str, int, Any, Callable[[], Any]], None]
"""(url, jobs, queue to tell seconds and claims to, what to call when warm)."""


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


def together(work: Work, url: str, jobs: int) -> Worked:
    """Let the workers do `jobs` each, beginning at one moment."""
    context = get_context("spawn")
    start, told = context.Barrier(WORKERS), context.Queue()
    processes = [context.Process(target=worker, args=(work, url, jobs, told, start)) for _ in range(WORKERS)]
    for process in processes:
        process.start()
    found = [told.get() for _ in processes]
    for process in processes:
        process.join()
    return Worked(WORKERS * jobs, max(took for took, _ in found), [one for _, claims in found for one in claims])


def worker(work: Work, url: str, jobs: int, told: Any, start: Any) -> None:
    """One process: warm up, begin together with the others, work, tell."""
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
        return queue.claim(session, worker=worker, now=datetime.now(UTC), lease_seconds=60, judge=judge)[0]


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


def both(server: str, queued: int, jobs: int, rounds: int, order: str) -> tuple[list[Worked], list[Worked]]:
    """Ours and the bare loop, in turns, on queues of this length."""
    mine, plain = [], []
    for _ in range(rounds):
        with race_database(server) as (url, race):
            fill_jobs(url, race, queued, order=order)
            hold_checkpoint(url)
            mine.append(together(ours, url, jobs))
        with database(server) as url:
            fill_bare(url, queued)
            plain.append(together(bare, url, jobs))
    return mine, plain


def others(server: str, jobs: int) -> dict[str, float]:
    """Jobs a second of published queues on the same work."""
    rates = {}
    for fill, work in ((fill_procrastinate, procrastinate), (fill_pgqueuer, pgqueuer)):
        with database(server) as url:
            fill(url, 100_000)
            rates[work.__name__] = together(work, url, jobs).rate
    return rates


def alone(work: Callable[[], object], times: int) -> float:
    """Median milliseconds of something that one worker does over and over."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return 1000 * median(took)


def p50s(server: str, queued: int, times: int) -> tuple[float, float]:
    """Median milliseconds of a claim, ours and the bare loop's, on a queue of this length."""
    with race_database(server) as (url, race), database(server) as plain_url:
        fill_jobs(url, race, queued)
        fill_bare(plain_url, queued)
        store = open_store(url)
        with psycopg.connect(plain_url) as connection:
            alone(lambda: (claim(store, "w"), bare_claim(connection, "w")), WARM)
            parts = [
                (alone(lambda: claim(store, "w"), times), alone(lambda: bare_claim(connection, "w"), times))
                for _ in range(5)
            ]
        store.close()
    return median(mine for mine, _ in parts), median(plain for _, plain in parts)


def tell_flatness(server: str, long_queue: int, times: int) -> None:
    """Whether a longer queue slows a claim more than it slows the bare loop's."""
    short, long = p50s(server, 1000, times), p50s(server, long_queue, times)
    ratio = (long[0] / short[0]) / (long[1] / short[1])
    detail = {"ours_ms": [short[0], long[0]], "bare_ms": [short[1], long[1]], "queued": [1000, long_queue]}
    tell("claims.flatness", ratio, "", 1.2, ratio <= 1.2, **detail)


def tell_dead_workers(server: str, times: int) -> None:
    """What 1,000 workers that claimed and never wrote do to everybody else's claims, before and after their leases end.

    Three equal stores take short turns, so that whatever else the machine does falls on all of them.
    """
    turns, each = 6 * times // TURN, TURN
    with race_database(server) as none, race_database(server) as leased, race_database(server) as ended:
        now = datetime.now(UTC)
        stores = [open_store(url) for url, _ in (none, leased, ended)]
        for (url, race), store, dead in zip((none, leased, ended), stores, (0, 1000, 1000 + turns * each), strict=True):
            fill_jobs(url, race, 100_000)
            for _ in range(dead):
                claim_at(store, now)
        then = [now, now, now + timedelta(seconds=100)]
        parts = [[alone(partial(claim_at, *one), each) for one in zip(stores, then, strict=True)] for _ in range(turns)]
        for store in stores:
            store.close()
    ms = [median(column) for column in list(zip(*parts, strict=True))]
    worst = max(median(part[i] / part[0] for part in parts[1:]) for i in (1, 2))
    tell("claims.dead_workers", worst, "", 1.1, worst < 1.1, ms=dict(zip(("none", "leased", "ended"), ms, strict=True)))


TURN = 15
"""Claims that one store takes before the next has its turn."""


def claim_at(store: Store, now: datetime) -> None:
    """Take a job at a moment."""
    with store.transaction() as session:
        queue.claim(session, worker="w", now=now, lease_seconds=60, judge=judge)


def main() -> None:
    """Every promise about claims."""
    quick = "--quick" in sys.argv
    jobs, rounds, times = (150, 2, 30) if quick else (1000, 5, 150)
    with postgres(durable=True) as server:
        mine, plain = both(server, 100_000, jobs, rounds, order="seed, i")
        p99, bare_p99 = (median(one.quantile(0.99) for one in each) for each in (mine, plain))
        p50 = median(one.quantile(0.5) for one in mine)
        tell("claims.p99_ms", p99, "ms", 10, p99 < 10, p50=p50, bare_p99=bare_p99, queued=100_000, workers=WORKERS)
        ratio = median(one.rate / other.rate for one, other in zip(mine, plain, strict=True))
        rates = {"ours": median(one.rate for one in mine), "bare": median(one.rate for one in plain)}
        tell("claims.vs_plain_sql", ratio, "", 0.5, ratio >= 0.5, jobs_a_second=rates)
        judged = [one.rate / other.rate for one, other in zip(*both(server, 100_000, jobs, 1, "i, seed"), strict=True)]
        tell("claims.vs_plain_sql_judged", median(judged), "", None, None, why="each third job completes a recipe")
        for name, rate in others(server, jobs).items():
            tell(f"claims.vs_{name}", rates["ours"] / rate, "", None, None, jobs_a_second=rate)
        tell_flatness(server, 100_000 if quick else 1_000_000, times)
        tell_dead_workers(server, times)


if __name__ == "__main__":
    main()
