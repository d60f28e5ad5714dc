"""The board under load: 16 connections ask one `igla serve` for boards of 50 races that hold a million samples.

Over `POST /api/leaderboard` and over MCP, on PostgreSQL and on SQLite. `/healthz` under the same load says how much of
it is the server's and the machine's own: the ratio, and the processor's time a call, are what a busy machine leaves to
judge by. One process cannot be faster than 16 times the latter.
"""

import asyncio
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from time import perf_counter
from uuid import UUID

sys.path.insert(0, str(Path(__file__).parents[1]))

from mcp_types import CLIENT_CAPABILITIES_META_KEY, PROTOCOL_VERSION_META_KEY
from sqlalchemy import insert, text

from benchmarks import tell
from benchmarks.stores import CANONICAL, SPEC, database, postgres
from benchmarks.tool_call import cpu_seconds
from db import races
from db.races import RaceSpec, RaceView
from db.session import Session
from db.store import Store, open_store, run
from db.tables import JOB, RECIPE, STANDING
from tests.modern import VERSION
from tests.serving import Served, serving

RACES, RUNGS = 50, (60, 20, 7)
"""Races, and recipes at each rung of one: 13,050 jobs with 3 seeds."""

POINTS, FEW = 77, 8
"""Samples of a job: a million in all, or with `--quick` a hundred thousand."""

CONNECTIONS = 16
LIMIT_MS = 25.0
TOKEN = "bench-secret"
SINCE = datetime(2030, 1, 1, tzinfo=UTC)

SAMPLES = """
INSERT INTO sample (job_id, step, bpb, nll_sum, byte_count, ema, provenance, attempt, created_at)
SELECT id, s * 100, final_bpb + (:points - s) * 0.01, 1.0, 1000, final_bpb, 'measured', 1, created_at
FROM job, (WITH RECURSIVE series(s) AS (SELECT 1 UNION ALL SELECT s + 1 FROM series WHERE s < :points)
           SELECT s FROM series) AS each_step
"""


def fill(store: Store, points: int) -> int:
    """Races with finished jobs, standings and curves; gives how many samples there are."""
    with store.transaction() as session:
        for number in range(RACES):
            spec = {**vars(SPEC), "name": f"race-{number}"}
            fill_race(session, races.create(session, RaceSpec(**spec), SINCE), number, points)
        run(session, text(SAMPLES).bindparams(points=points))
        samples = int(run(session, text("SELECT count(*) FROM sample")).scalar_one())
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    return samples


def fill_race(session: Session, race: RaceView, number: int, points: int) -> None:
    """The recipes of one race: the first ones stand on the higher rungs too."""
    random, recipes, jobs, standings = Random(number), [], [], []
    for i in range(RUNGS[0]):
        digest = f"{number:032x}{i:032x}"
        named = {"digest": digest, "name": f"learning_rate=0.{i:02} width=256", "canonical": CANONICAL}
        recipes.append({**named, "created_by": "bench", "created_at": SINCE})
        for rung, many in enumerate(RUNGS):
            if i >= many:
                continue
            bpbs = [2.0 + random.random() for _ in race.seeds]
            here = {"race_id": race.id, "rung": rung, "recipe_digest": digest, "provenance": "measured"}
            mean = sum(bpbs) / len(bpbs)
            promoted = rung + 1 < len(RUNGS) and i < RUNGS[rung + 1]
            standings.append({**here, "mean": mean, "sd": 0.1, "n": 3, "bpbs": bpbs, "promoted": promoted,
                              "created_at": SINCE})  # fmt: skip
            for seed, bpb in zip(race.seeds, bpbs, strict=True):
                jobs.append({
                    **here, "id": str(UUID(int=random.getrandbits(128))), "seed": seed, "state": "done", "priority": 50,
                    "position": number * 10_000 + len(jobs), "total_steps": points * 100, "last_step": points * 100,
                    "checkpoint_step": 0, "final_bpb": bpb, "fence": 1, "attempt": 1, "barren": 0, "fruitful": True,
                    "worker": "bench", "created_by": "bench", "created_at": SINCE, "started_at": SINCE,
                    "finished_at": SINCE + timedelta(seconds=len(jobs)),
                })  # fmt: skip
    for table, rows in ((RECIPE, recipes), (JOB, jobs), (STANDING, standings)):
        run(session, insert(table), rows)


@contextmanager
def filled(engine: str, folder: Path, points: int) -> Iterator[Served]:
    """A server on a filled database."""
    folder.mkdir()
    with ExitStack() as stack:
        url = f"sqlite:///{folder / 'igla.db'}"
        if engine == "postgresql":
            url = stack.enter_context(database(stack.enter_context(postgres(durable=True))))
        store, began = open_store(url), perf_counter()
        samples = fill(store, points)
        store.close()
        print(f"{engine}: {samples:,} samples in {perf_counter() - began:.0f} s", file=sys.stderr)
        settings = {"IGLA_ADMIN_TOKEN": TOKEN, "IGLA_DATABASE_URL": url, "IGLA_RATE": "1000000/second"}
        yield stack.enter_context(serving(folder, "--engines", "0", env=settings, fresh=True))


def request(method: str, path: str, body: object = None, **headers: str) -> bytes:
    """A request as bytes."""
    content = b"" if body is None else json.dumps(body).encode()
    usual = {"Host": "127.0.0.1", "Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    lines = [f"{method} {path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in {**usual, **headers, "Content-Length": len(content)}.items()]
    return "\r\n".join([*lines, "", ""]).encode() + content


def over_http(race: str) -> bytes:
    """The first page, as `curl` asks for it."""
    return request("POST", "/api/leaderboard", {"race": race})


def over_mcp(race: str) -> bytes:
    """The first page, as an agent asks for it."""
    meta = {PROTOCOL_VERSION_META_KEY: VERSION, CLIENT_CAPABILITIES_META_KEY: {}}
    params = {"name": "leaderboard", "arguments": {"race": race}, "_meta": meta}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    accept = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": VERSION}
    return request("POST", "/mcp", body, **accept, **{"Mcp-Method": "tools/call", "Mcp-Name": "leaderboard"})


def health(race: str) -> bytes:
    """What costs nothing but the request itself."""
    return request("GET", "/healthz")


async def ask(url: str, requests: list[bytes], took: list[float], least: int) -> None:
    """One connection, one request after the other; every answer is whole, a success, and has so many bytes at least."""
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for one in requests:
        began = perf_counter()
        writer.write(one)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        body = await reader.readexactly(length)
        took.append(perf_counter() - began)
        assert head.startswith(b"HTTP/1.1 200") and length >= least and b'"isError":true' not in body, body[:300]
    writer.close()
    await writer.wait_closed()


def load(url: str, kind: object, times: int, least: int) -> list[float]:
    """Sorted seconds of so many requests over 16 connections, each for a race by chance."""
    random, took = Random(0), []
    every = [kind(f"race-{number}") for number in range(RACES)]  # type: ignore[operator]

    async def story() -> None:
        shares = [random.choices(every, k=times // CONNECTIONS) for _ in range(CONNECTIONS)]
        await asyncio.gather(*(ask(url, share, took, least) for share in shares))

    asyncio.run(story())
    return sorted(took)


def quantile(took: list[float], part: float) -> float:
    """Milliseconds."""
    return 1000 * took[int(len(took) * part)]


def measure(engine: str, server: Served, times: int, points: int) -> None:
    """Each doorway, after a bare request under the same load."""
    for kind, doorway in ((over_http, "http"), (over_mcp, "mcp")):
        load(server.url, kind, 20 * CONNECTIONS, 1000)
        bare = load(server.url, health, times, 1)
        before = cpu_seconds(server.process.pid)
        took = load(server.url, kind, times, 1000)
        cpu_ms = 1000 * (cpu_seconds(server.process.pid) - before) / len(took)
        p50, p99, plain = quantile(took, 0.5), quantile(took, 0.99), quantile(bare, 0.5)
        detail = {"p50_ms": round(p50, 2), "healthz_p50_ms": round(plain, 2), "healthz_p99_ms": quantile(bare, 0.99),
                  "p50_over_healthz": round(p50 / plain, 2), "connections": CONNECTIONS, "calls": times,
                  "cpu_ms": round(cpu_ms, 3), "samples": 13_050 * points}  # fmt: skip
        first = (engine, doorway) == ("postgresql", "http")
        name = "leaderboard.p99_ms" if first else f"leaderboard.{engine}_{doorway}_p99_ms"
        tell(name, p99, "ms", LIMIT_MS, p99 < LIMIT_MS, **detail)


def main() -> None:
    """Both engines."""
    times, points = (1_600, FEW) if "--quick" in sys.argv else (16_000, POINTS)
    with tempfile.TemporaryDirectory() as folder:
        for engine in ("postgresql", "sqlite"):
            with filled(engine, Path(folder) / engine, points) as server:
                measure(engine, server, times, points)


if __name__ == "__main__":
    main()
