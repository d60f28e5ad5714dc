"""Two web processes behind a proxy that takes turns: one is killed in mid-race, and no agent loses what it was told."""

import asyncio
import signal
import time
from contextlib import closing

import anyio
import httpx
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from sqlalchemy import select

from db import tokens
from db.store import open_store, run
from db.tables import SAMPLE
from server.runtime import utc_now
from tests import dying_engine
from tests.modern import bearer
from tests.round_robin import round_robin
from tests.serving import TINY, serving

PLAN = {"base": TINY, "budget_bytes": 9 * 256 * 8, "seeds": [1]}
ERAS = ("legacy", "2026-07-28")
PATIENCE = 120


class Agent:
    """Plays a race through the proxy. A call that broke is made once more: agents do no more than that."""

    def __init__(self, race, client):
        self.race = race
        self.client = client
        self.retried = []
        self.acknowledged = set()
        self.told = asyncio.Event()

    async def use(self, name, **arguments):
        try:
            result = await self.client.call_tool(name, arguments, read_timeout_seconds=PATIENCE)
        except Exception as broken:
            self.retried.append((name, repr(broken)))
            result = await self.client.call_tool(name, arguments, read_timeout_seconds=PATIENCE)
        assert not result.is_error, result.content
        return result.structured_content

    async def play(self):
        await self.use("plan_race", race=self.race, plan=PLAN)
        for _ in range(3):
            ticket = (await self.use("claim_job", race=self.race, worker=self.race))["tickets"][0]
            held, action = {"job_id": ticket["job_id"], "fence": ticket["fence"]}, "continue"
            while action == "continue":
                ran = await self.use("run_chunk", **held)
                self.acknowledged |= {(held["job_id"], one["step"], one["bpb"]) for one in ran["samples"]}
                self.told.set()
                action = ran["decision"]["action"]
            assert action == "done"
        return await self.use("leaderboard", race=self.race)


async def agent(url, secret, era):
    """One agent's whole story."""
    async with (
        httpx2.AsyncClient(headers=bearer(secret), timeout=PATIENCE) as http,
        Client(streamable_http_client(f"{url}/mcp", http_client=http), mode=era) as client,
    ):
        playing = Agent(f"race-{era}", client)
        yield playing


async def refused_after(url, secret):
    """Seconds until a server refuses a token."""
    began, status = time.monotonic(), 200
    async with httpx.AsyncClient(timeout=PATIENCE) as http:
        while status != 401:
            assert time.monotonic() - began < PATIENCE
            await asyncio.sleep(0.05)
            status = (await http.post(f"{url}/api/glossary", json={}, headers=bearer(secret))).status_code
    return time.monotonic() - began


async def story(url, replicas, store, secrets):
    """Both agents play; when both have been told of samples, one replica dies."""
    for replica in replicas:  # each has seen the token that goes
        assert httpx.post(f"{replica.url}/api/glossary", json={}, headers=bearer(secrets["goes"])).status_code == 200
    with store.transaction() as session:
        tokens.revoke(session, "goes", utc_now())
    refused = asyncio.create_task(refused_after(replicas[1].url, secrets["goes"]))
    players, boards = [], []

    async def one(era):
        async for player in agent(url, secrets["plays"], era):
            players.append(player)
            boards.append(await player.play())

    async with asyncio.TaskGroup() as group:
        for era in ERAS:
            group.create_task(one(era))
        while len(players) < len(ERAS) or not all(player.told.is_set() for player in players):
            await asyncio.sleep(0.01)
        await asyncio.to_thread(replicas[0].stop, signal.SIGKILL)
        assert not boards, "it is killed in mid-race"
    return players, boards, await refused


@pytest.mark.slow
def test_a_replica_is_killed_in_mid_race_and_nothing_that_was_acknowledged_is_lost(new_postgresql_url, tmp_path):
    environment = {"DATABASE_URL": new_postgresql_url}
    with (
        serving(tmp_path, "--engines", "0", env=environment) as first,
        serving(tmp_path, "--engines", "0", env=environment) as second,
        closing(open_store(new_postgresql_url)) as store,
        round_robin(first.url, second.url) as (url, proxy),
    ):
        with store.transaction() as session:
            scopes = {"plays": ["submit", "work"], "goes": ["read"]}
            secrets = {name: tokens.create(session, name, given, utc_now())[0] for name, given in scopes.items()}
        engine = dying_engine.started(tmp_path, database_url=new_postgresql_url)
        try:
            players, boards, waited = anyio.run(story, url, (first, second), store, secrets)
        finally:
            engine.terminate()
            engine.join(30)
        with store.reading() as session:
            c = SAMPLE.c
            stored = {tuple(row) for row in run(session, select(c.job_id, c.step, c.bpb))}
    assert waited < 5.5
    assert [len(player.retried) <= 1 for player in players] == [True, True], [player.retried for player in players]
    assert proxy.broken == sum(len(player.retried) for player in players)
    assert stored == set.union(*(player.acknowledged for player in players)) and len(stored) == 2 * (2 + 3 + 6)
    assert [(board["rows"][0]["rung"], board["rows"][0]["n"]) for board in boards] == [(2, 1)] * 2
