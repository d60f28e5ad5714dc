"""CPU of a `job_status` call over MCP, beside a bare server of the same SDK with one token and one indexed SELECT.

Both are processes of their own on SQLite, called by the same client over streamable HTTP. The CPU seconds are the
server process's, read from /proc before and after.
"""

import os
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import anyio
import httpx
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from benchmarks import tell
from benchmarks.bare_server import bare_serving
from tests.serving import Served, serving

TOKEN = "bench-secret"
ENVIRONMENT = {"IGLA_ADMIN_TOKEN": TOKEN, "IGLA_RATE": "1000000/minute"}
PLAN = {"base": {}, "budget_bytes": 9 * 256 * 64, "seeds": [1, 2, 3]}


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def calls(url: str, tool: str, job_id: str, times: int) -> None:
    """One client, one call after the other."""
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}) as http,
        Client(streamable_http_client(f"{url}/mcp", http_client=http)) as client,
    ):
        for _ in range(times):
            result = await client.call_tool(tool, {"job_id": job_id})
            assert not result.is_error, result.content


def cpu_per_call(url: str, pid: int, tool: str, job_id: str, times: int) -> float:
    """Milliseconds of the server's CPU for each call."""
    anyio.run(calls, url, tool, job_id, max(20, times // 5))
    before = cpu_seconds(pid)
    anyio.run(calls, url, tool, job_id, times)
    return 1000 * (cpu_seconds(pid) - before) / times


def job_of(server: Served) -> str:
    """A queued job on our server."""
    answer = httpx.post(
        f"{server.url}/api/plan_race",
        json={"race": "bench", "plan": PLAN},
        headers={"Authorization": f"Bearer {TOKEN}"},
        timeout=60,
    )
    answer.raise_for_status()
    jobs: list[dict[str, Any]] = answer.json()["jobs"]
    return str(jobs[0]["id"])


def main() -> None:
    """The two servers in turns."""
    times, rounds = (300, 3) if "--quick" in sys.argv else (1000, 5)
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder) / "ours", "--engines", "0", env=ENVIRONMENT, fresh=True) as ours,
        bare_serving(Path(folder), TOKEN) as (bare_url, bare_pid, bare_job),
    ):
        job = job_of(ours)  # waits until the corpus is built, so nothing else works in the process afterwards
        pairs = [
            (
                cpu_per_call(ours.url, ours.process.pid, "job_status", job, times),
                cpu_per_call(bare_url, bare_pid, "job_status", bare_job, times),
            )
            for _ in range(rounds)
        ]
    ratio = median(mine / plain for mine, plain in pairs)
    ms = {"ours": median(mine for mine, _ in pairs), "bare": median(plain for _, plain in pairs)}
    tell("tool_call.cpu_ratio", ratio, "", 2.0, ratio <= 2.0, cpu_ms=ms, calls=times, rounds=rounds)


if __name__ == "__main__":
    main()
