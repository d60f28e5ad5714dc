"""Writing a value on PostgreSQL: the whole transaction with its decision, in a race with 10,000 finished runs.

A run of two chunks writes twice: the first value is compared with finished runs, the last ends the job, and every third
of those completes a recipe, is ranked among all and may move recipes up. All of them are in the figures. The board is
read in a race with a million samples.
"""

import gc
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from math import log
from pathlib import Path
from statistics import median
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import tell
from benchmarks.stores import fill_jobs, fill_runs, postgres, race_database
from db import artifacts, audit, leaderboard, queue, samples
from db.races import RaceView
from db.samples import Batch, SampleIn
from db.store import Store, open_store
from tools import judge

RUNS = 10_000
POINTS = 6
"""Samples of a finished run: the chunks of the top rung."""

BOARD_POINTS = 100
"""Samples of a finished run where the board is read: a million in all."""

WARM = 60


def play(store: Store, runs: int) -> dict[str, list[float]]:
    """Claim runs and write their values; seconds of each write, by what it did."""
    took: dict[str, list[float]] = {"continue": [], "done": []}
    for number in range(runs):
        with store.transaction() as session:
            (ticket,) = queue.claim(session, worker="w", now=datetime.now(UTC), lease_seconds=60, judge=judge)
        for step in (ticket.total_steps // 2, ticket.total_steps):
            asked = time.perf_counter()
            action = write(store, ticket, step, bpb=2.0 + number / 1e6)
            took[action].append(time.perf_counter() - asked)
    return took


def write(store: Store, ticket: queue.Ticket, step: int, bpb: float) -> str:
    """One measured value; gives what was decided."""
    one = SampleIn(step=step, bpb=bpb, nll_sum=bpb * log(2) * 1000, byte_count=1000)
    batch = Batch(
        job_id=ticket.job_id, fence=ticket.fence, samples=(one,), effective_digest=ticket.recipe_digest,
        provenance="measured", checkpoint="checkpoint", environment="e", receipt="{}", lease_seconds=60,
    )  # fmt: skip
    entry = audit.Entry(
        at=datetime.now(UTC), principal="bench", credential="igla_12345678", doorway="http", action="write_bpb",
        request_id=str(uuid4()), subject={"job_id": ticket.job_id},
    )  # fmt: skip
    with store.noting(lambda session: audit.add(session, entry)).transaction() as session:
        return samples.write(session, batch, judge, datetime.now(UTC)).decision.action


def read_board(store: Store, race: RaceView) -> None:
    """The first page."""
    with store.reading() as session:
        page = leaderboard.rows(session, race, limit=20)
    assert len(page.rows) == 20


def quantile(took: list[float], part: float) -> float:
    """Milliseconds."""
    return 1000 * sorted(took)[int(len(took) * part)]


def timed(work: Callable[[], object], times: int) -> list[float]:
    """Seconds of each of many calls."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return took


def tell_writes(server: str, runs: int, rounds: int) -> None:
    """Every write, and those that do more."""
    with race_database(server) as (url, race):
        fill_jobs(url, race, (runs * rounds + WARM) // 3 * 3 + 3, first=fill_runs(url, race, RUNS, POINTS))
        store = open_store(url)
        with store.transaction() as session:
            artifacts.record(session, "checkpoint", "checkpoint", 1, datetime.now(UTC))
        play(store, WARM)
        gc.freeze()  # as the web process does when it starts
        played = [play(store, runs) for _ in range(rounds)]
        store.close()
    parts = [one["continue"] + one["done"] for one in played]
    p50, p99 = (median(quantile(part, q) for part in parts) for q in (0.5, 0.99))
    by_kind = {kind: round(median(quantile(one[kind], 0.5) for one in played), 3) for kind in ("continue", "done")}
    complete = median(quantile(one["done"], 5 / 6) for one in played)
    detail = {"finished_runs": RUNS, "points": POINTS, "p50_by_decision": by_kind, "complete_recipe_p50": complete}
    tell("write_bpb.p99_ms", p99, "ms", 10, p99 < 10, **detail)
    tell("write_bpb.p50_ms", p50, "ms", 1.5, p50 <= 1.5, **detail)


def tell_board(server: str, times: int) -> None:
    """The first page of the board."""
    with race_database(server) as (url, race):
        fill_runs(url, race, RUNS, BOARD_POINTS)
        store = open_store(url)
        timed(lambda: read_board(store, race), WARM)
        took = timed(lambda: read_board(store, race), times)
        store.close()
    p99 = quantile(took, 0.99)
    tell("leaderboard.p99_ms", p99, "ms", 5, p99 < 5, p50=quantile(took, 0.5), samples=RUNS * BOARD_POINTS)


def main() -> None:
    """Every promise about writing and reading."""
    quick = "--quick" in sys.argv
    with postgres(durable=True) as server:
        tell_writes(server, runs=150 if quick else 600, rounds=3 if quick else 5)
        tell_board(server, times=300 if quick else 2000)


if __name__ == "__main__":
    main()
