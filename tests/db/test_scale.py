"""Many workers on one queue: every job is claimed once, every sample is stored, on both engines."""

import multiprocessing
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from math import log

import pytest
from sqlalchemy import func, select

from db import artifacts, queue, races, samples
from db.queue import QueueEmpty
from db.races import RaceSpec
from db.samples import Batch, SampleIn
from db.store import open_store, run
from db.tables import DECISION, JOB, SAMPLE, STANDING
from tools import judge

NOW = datetime(2030, 1, 1, tzinfo=UTC)
SEEDS = tuple(range(10))
STEPS = 100
RUN_SECONDS = 0.001
"""A worker that trains leaves the database to others meanwhile."""


def value_of(recipe_digest, seed):
    """The value that this job will get, whoever runs it."""
    return 1.0 + int(recipe_digest) / 10_000 + seed / 1_000_000


def fill(store, jobs):
    """A race with jobs for ten seeds of each recipe; nobody moves up before all are through."""
    recipes = jobs // len(SEEDS)
    settings = {"corpus": "c" * 64, "corpus_name": "books", "budget_bytes": 9000, "rungs": ((1, 1),), "chunks": (1,)}
    spec = RaceSpec(name="scale", seeds=SEEDS, quorum=recipes, **settings)
    with store.transaction() as session:
        race = races.create(session, spec, NOW)
        artifacts.record(session, "checkpoint", "checkpoint", 1, NOW)
        for i in range(recipes):
            recipe = queue.RecipeText(digest=f"{i:06}", name=f"recipe {i}", canonical="{}")
            queue.submit(session, race, recipe, STEPS, created_by="me", now=NOW)
    return race


def work(store, worker, n, claimed):
    """Claim and finish until nothing is left; remembers what it claimed."""
    while True:
        try:
            with store.transaction() as session:
                tickets = queue.claim(session, worker=worker, now=NOW, lease_seconds=600, judge=judge, n=n)
        except QueueEmpty:
            return
        claimed += [(ticket.job_id, ticket.fence) for ticket in tickets]
        for ticket in tickets:
            time.sleep(RUN_SECONDS)
            with store.transaction() as session:
                samples.write(session, last_batch(ticket), judge, NOW)


def last_batch(ticket):
    bpb = value_of(ticket.recipe_digest, ticket.seed)
    one = SampleIn(step=STEPS, bpb=bpb, nll_sum=bpb * log(2) * 1000, byte_count=1000)
    return Batch(
        job_id=ticket.job_id, fence=ticket.fence, samples=(one,), effective_digest=ticket.recipe_digest,
        provenance="measured", checkpoint="checkpoint", environment="e", receipt=None, lease_seconds=600,
    )  # fmt: skip


def check_everything(url, claimed, jobs):
    """The whole tables: each job claimed once and done, each sample there with its value, each recipe judged once."""
    store = open_store(url)
    assert Counter(Counter(job_id for job_id, _ in claimed).values()) == {1: jobs}
    with store.reading() as session:
        rows = run(session, select(JOB, SAMPLE.c.bpb).join(SAMPLE, SAMPLE.c.job_id == JOB.c.id)).all()
        counted = [run(session, select(func.count()).select_from(table)).scalar_one() for table in (JOB, SAMPLE)]
        standings = run(session, select(STANDING)).all()
        decisions = run(session, select(func.count()).select_from(DECISION)).scalar_one()
    store.close()
    assert counted == [jobs, jobs] and {row.id for row in rows} == {job_id for job_id, _ in claimed}
    assert {(row.state, row.fence, row.attempt, row.last_step) for row in rows} == {("done", 1, 1, STEPS)}
    assert all(row.bpb == row.final_bpb == value_of(row.recipe_digest, row.seed) for row in rows)
    assert (decisions, len(standings)) == (0, jobs // len(SEEDS))
    assert all(one.bpbs == [value_of(one.recipe_digest, seed) for seed in SEEDS] for one in standings)


@pytest.mark.slow
def test_a_hundred_workers_share_ten_thousand_jobs_over_32_connections(new_postgresql_url):
    store = open_store(new_postgresql_url, connections=32)
    fill(store, 10_000)
    claimed = [[] for _ in range(100)]
    threads = [threading.Thread(target=work, args=(store, f"w{i}", 4, claimed[i])) for i in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.close()
    check_everything(new_postgresql_url, [one for mine in claimed for one in mine], 10_000)
    assert all(claimed), "every worker got some"


def work_in_a_process(url, worker):
    store = open_store(url)
    claimed = []
    work(store, worker, 1, claimed)
    store.close()
    return claimed


@pytest.mark.slow
def test_sixteen_processes_share_two_thousand_jobs_on_sqlite(tmp_path):
    url = f"sqlite:///{tmp_path / 'igla.db'}"
    store = open_store(url)
    fill(store, 2000)
    store.close()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["db.samples", "tools"])
    with context.Pool(16) as pool:
        calls = [pool.apply_async(work_in_a_process, (url, f"p{i}")) for i in range(16)]
        claimed = [one for call in calls for one in call.get()]
    check_everything(url, claimed, 2000)
