"""The official MCP client plays a race against real processes, over both eras of streamable HTTP and over stdio."""

import os
import sys

import anyio
import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from tests.serving import ENGINE, ROOT, TINY, serving
from tests.tokens import token
from tools import tools

RACE = {"budget_bytes": 9 * 256 * 8, "seeds": [1]}
PATIENCE = 120


async def play(client: Client, race: str) -> list[dict]:
    """submit -> claim -> run -> write -> leaderboard; gives the board."""

    async def use(name: str, **arguments):
        result = await client.call_tool(name, arguments, read_timeout_seconds=PATIENCE)
        assert not result.is_error, result.content
        return result.structured_content

    listed = await client.list_tools()
    assert [tool.name for tool in listed.tools] == [name for name in tools if name != "deploy"]  # no account
    await use("plan_race", race=race, plan={"base": TINY, **RACE})
    again = await use("submit_job", race=race, recipe=TINY)
    assert [(job["seed"], job["rung"], job["state"]) for job in again["jobs"]] == [(1, 0, "queued")]
    for rung in range(3):
        ticket = (await use("claim_job", race=race, worker="agent"))["tickets"][0]
        assert (ticket["rung"], ticket["seed"]) == (rung, 1)
        held = {"job_id": ticket["job_id"], "fence": ticket["fence"]}
        action = "continue"
        while action == "continue":
            ran = await use("run_chunk", **held)
            sent = {"samples": ran["samples"], "effective_digest": ran["effective_digest"]}
            confirmed = await use("write_bpb", **held, **sent)
            assert (confirmed["stored"], confirmed["duplicates"]) == (0, 1)
            assert confirmed["decision"]["action"] in (ran["decision"]["action"], "continue")
            action = ran["decision"]["action"]
        assert action == "done"
        status = await use("job_status", job_id=ticket["job_id"])
        assert (status["job"]["state"], status["provenance"]) == ("done", "measured")
    return (await use("leaderboard", race=race))["rows"]


def check(rows: list[dict]) -> None:
    assert [(row["rank"], row["rung"], row["n"], row["provenance"]) for row in rows] == [(1, 2, 1, "measured")]
    assert 0.3 < rows[0]["mean"] < 8.0


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
def test_the_official_client_plays_a_race_over_http(served, mode):
    async def story():
        async with Client(f"{served.url}/mcp", mode=mode) as client:
            return await play(client, f"http-{mode}")

    check(anyio.run(story))


@pytest.mark.slow
def test_the_official_client_plays_a_race_on_postgresql(new_postgresql_url, tmp_path):
    async def story(url):
        async with Client(f"{url}/mcp") as client:
            return await play(client, "on-postgresql")

    with serving(tmp_path, *ENGINE, env={"DATABASE_URL": new_postgresql_url}) as server:
        check(anyio.run(story, server.url))
    assert not list(tmp_path.glob("*.db"))


def test_the_official_client_plays_a_race_over_stdio(tmp_path):
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-m", "server.cli", "mcp", "--data", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "IGLA_ENGINES": "1"},
    )

    async def story():
        async with Client(parameters) as client:
            return await play(client, "stdio")

    check(anyio.run(story))


def test_a_refusal_reaches_the_agent_with_code_and_next_step(served):
    async def story():
        async with Client(f"{served.url}/mcp") as client:
            wrong = await client.call_tool("submit_job", {"race": "refused", "recipe": {"optimizer": "adamww"}})
            slip = await client.call_tool("leaderboard", {"race": "refused", "limt": 3})
            return wrong, slip

    wrong, slip = anyio.run(story)
    assert wrong.is_error
    assert wrong.content[0].text.startswith("unknown_name: There is no optimizer 'adamww'. Did you mean 'adamw'?")
    assert slip.is_error
    assert slip.content[0].text.startswith("unknown_argument: ")
    assert "Did you mean 'limit'" in slip.content[0].text


def test_a_token_carries_its_scopes_into_mcp(tmp_path):
    reader = token(tmp_path, "reader", "read")

    async def story(url):
        headers = {"Authorization": f"Bearer {reader}"}
        async with (
            httpx2.AsyncClient(headers=headers) as http,
            Client(streamable_http_client(f"{url}/mcp", http_client=http)) as client,
        ):
            words = await client.call_tool("glossary", {"term": "fence"})
            refused = await client.call_tool("submit_job", {"race": "r", "recipe": {}})
            return words.is_error, refused.is_error, refused.content[0].text

    with serving(tmp_path, "--engines", "0") as server:
        assert httpx2.post(f"{server.url}/mcp", json={}).status_code == 401
        readable, refused, text = anyio.run(story, server.url)
    assert (readable, refused) == (False, True)
    assert text.startswith("scope_missing: submit_job needs the scope submit.")
