"""The same work by published queues on PostgreSQL: take a job, mark it done. They need the extra `bench`."""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg

from tests.postgres import command

WARM = 20


def fill_procrastinate(url: str, jobs: int) -> None:
    """Its schema and a queue."""
    from procrastinate import App, SyncPsycopgConnector

    with App(connector=SyncPsycopgConnector(conninfo=url)).open() as app:
        app.schema_manager.apply_schema()
    insert = "INSERT INTO procrastinate_jobs (queue_name, task_name, args) SELECT 'q', 't', jsonb_build_object('i', i)"
    command(url, f"{insert} FROM generate_series(1, {jobs}) i", "VACUUM ANALYZE", "CHECKPOINT")


def procrastinate(url: str, jobs: int, told: Any, ready: Callable[[], Any]) -> None:
    """Its own job manager, which a worker of it calls: fetch_job and finish_job."""
    asyncio.run(procrastinate_loop(url, jobs, told, ready))


async def procrastinate_loop(url: str, jobs: int, told: Any, ready: Callable[[], Any]) -> None:
    """Register a worker, then fetch and finish."""
    from procrastinate import App, PsycopgConnector
    from procrastinate.jobs import Status

    app = App(connector=PsycopgConnector(conninfo=url, min_size=1, max_size=1))
    async with app.open_async():
        manager = app.job_manager
        worker = await manager.register_worker()

        async def one() -> float:
            asked = time.perf_counter()
            job = await manager.fetch_job(["q"], worker)
            took = time.perf_counter() - asked
            assert job is not None
            await manager.finish_job(job, Status.SUCCEEDED, delete_job=False)
            return took

        await loop(one, jobs, told, ready)


def fill_pgqueuer(url: str, jobs: int) -> None:
    """Its schema and a queue."""
    asyncio.run(pgqueuer_schema(url))
    insert = "INSERT INTO pgqueuer (priority, entrypoint, payload, status) SELECT 0, 'e', 'x', 'queued'"
    command(url, f"{insert} FROM generate_series(1, {jobs}) i", "VACUUM ANALYZE", "CHECKPOINT")


async def pgqueuer_schema(url: str) -> None:
    """Install its tables."""
    from pgqueuer.db import PsycopgDriver
    from pgqueuer.queries import Queries

    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await Queries(PsycopgDriver(connection)).install()


def pgqueuer(url: str, jobs: int, told: Any, ready: Callable[[], Any]) -> None:
    """Its own queries, which a manager of it calls, one job at a time: dequeue and log_jobs."""
    asyncio.run(pgqueuer_loop(url, jobs, told, ready))


async def pgqueuer_loop(url: str, jobs: int, told: Any, ready: Callable[[], Any]) -> None:
    """Dequeue and log, on a connection of its own."""
    from pgqueuer.db import PsycopgDriver
    from pgqueuer.ports.repository import EntrypointExecutionParameter
    from pgqueuer.queries import Queries

    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        queries, manager = Queries(PsycopgDriver(connection)), uuid4()
        entrypoints: Any = {"e": EntrypointExecutionParameter(concurrency_limit=0)}

        async def one() -> float:
            asked = time.perf_counter()
            (job,) = await queries.dequeue(1, entrypoints, manager, None, timedelta(seconds=60))
            took = time.perf_counter() - asked
            await queries.log_jobs([(job, "successful", None)])
            return took

        await loop(one, jobs, told, ready)


async def loop(one: Callable[[], Any], jobs: int, told: Any, ready: Callable[[], Any]) -> None:
    """Warm up, wait for the others, work, tell."""
    for _ in range(WARM):
        await one()
    ready()
    began = time.perf_counter()
    claims = [await one() for _ in range(jobs)]
    told.put((time.perf_counter() - began, claims))
