"""SIGTERM: ready no more, what is under way finishes or is given back, everybody gets an answer, exit code 0."""

import asyncio
import signal
import threading

import httpx
import pytest
import uvicorn
from sqlalchemy import text

from db import chunks
from db.chunks import MOST_DELIVERIES, EngineFailed
from db.redaction import redactor
from server.app import create_app
from server.draining import Draining
from server.edge import Edge
from server.graceful import Server
from server.metrics import Metrics
from server.runtime import open_runtime
from server.settings import Settings
from tests import dying_engine
from tests.collector import collecting
from tests.remote import small_race
from tests.remote import use as tool
from tests.serving import TINY, Served
from tests.working import until

TRACE = "0af7651916cd43dd8448eb211c80319c"


def held_job(runtime, steps, name="ends"):
    small_race(runtime, name, steps=steps, chunks=1, recipes=[TINY])
    ticket = tool(runtime, "claim_job", worker="w", race=name)["tickets"][0]
    return {"job_id": ticket["job_id"], "fence": ticket["fence"]}


def requests(runtime):
    with runtime.store.reading() as session:
        rows = session.connection().execute(text("SELECT state, engine, given_back FROM chunk_request"))
        return [tuple(row) for row in rows]


def is_leased(runtime):
    return [row for row in requests(runtime) if row[0] == "leased"]


def asking(url, held, answers, **headers):
    """Ask for a chunk and wait, in a thread."""

    def ask():
        answers.append(httpx.post(f"{url}/api/run_chunk", json=held, headers=headers, timeout=60))

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


@pytest.mark.slow
def test_a_server_that_is_told_to_end_finishes_the_chunk_answers_and_sends_its_spans(tmp_path):
    runtime = open_runtime(Settings(data=tmp_path))
    held, answers, streamed = held_job(runtime, steps=150), [], []
    with collecting() as (address, spans):
        kept = {"IGLA_GRACE_SECONDS": "40", "IGLA_LEGACY_SESSIONS": "1"}
        environment = {**kept, "IGLA_OTEL": "1", "OTEL_EXPORTER_OTLP_ENDPOINT": address}
        server = Served(tmp_path, "--engines", "1", "--scorers", "0", "--arenas", "0", env=environment)
        stream = legacy_stream(server.url, streamed)
        waiting = asking(server.url, held, answers, traceparent=f"00-{TRACE}-b7ad6b7169203331-01")
        until(lambda: is_leased(runtime))
        server.process.send_signal(signal.SIGTERM)
        until(lambda: httpx.get(f"{server.url}/readyz").status_code == 503)
        assert httpx.get(f"{server.url}/readyz").json()["code"] == "draining"
        assert httpx.get(f"{server.url}/healthz").status_code == 200
        assert server.process.wait(60) == 0
        waiting.join(10)
        stream.join(10)
    assert answers[0].status_code == 200, answers[0].text
    assert answers[0].json()["decision"]["action"] == "done"
    assert tool(runtime, "job_status", job_id=held["job_id"])["job"]["state"] == "done"
    assert streamed == ["ended"]
    ours = {(process, span.name): span for process, span in spans if span.trace_id.hex() == TRACE}
    assert ours.keys() >= {("web", "run_chunk"), ("engine", "chunk")}
    assert ours["engine", "chunk"].parent_span_id == ours["web", "run_chunk"].span_id
    server.process.stderr.close()
    runtime.store.close()


def legacy_stream(url, streamed):
    """Open the stream of an MCP session of the older era, and note how it ends."""
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    accept = {"Accept": "application/json, text/event-stream"}
    body = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}
    answer = httpx.post(f"{url}/mcp", json=body, headers=accept, timeout=30)
    session = {**accept, "Mcp-Session-Id": answer.headers["mcp-session-id"]}
    opened = threading.Event()

    def read():
        with httpx.stream("GET", f"{url}/mcp", headers=session, timeout=60) as stream:
            opened.set()
            try:
                list(stream.iter_raw())
                streamed.append("ended")
            except httpx.HTTPError as error:
                streamed.append(repr(error))

    thread = threading.Thread(target=read)
    thread.start()
    assert opened.wait(30)
    return thread


@pytest.mark.slow
def test_an_engine_without_time_gives_the_chunk_back_and_the_next_one_has_it_at_once(tmp_path):
    runtime = open_runtime(Settings(data=tmp_path))
    held = held_job(runtime, steps=1_000_000)
    with runtime.store.transaction() as session:
        chunks.request(session, held["job_id"], held["fence"], None, runtime.context().now)
    process = dying_engine.started(tmp_path, grace_seconds=0.2)
    until(lambda: is_leased(runtime))
    process.terminate()
    process.join(30)
    assert process.exitcode == 0
    assert requests(runtime) == [("queued", None, 1)]
    with runtime.store.transaction() as session:
        taken = chunks.lease(session, "another", runtime.context().now, 20.0)
    assert taken is not None
    found = tool(runtime, "job_status", job_id=held["job_id"])["job"]
    assert (found["state"], found["fence"]) == ("running", held["fence"])
    runtime.store.close()


def test_what_a_dead_engine_left_is_free_when_its_successor_ends(runtime):
    held = held_job(runtime, steps=100)
    with runtime.store.transaction() as session:
        chunks.request(session, held["job_id"], held["fence"], None, runtime.context().now)
        chunks.lease(session, "engine-1", runtime.context().now, 20.0)
        chunks.leave(session, "engine-2")
    assert requests(runtime) == [("leased", "engine-1", 0)]
    with runtime.store.transaction() as session:
        chunks.leave(session, "engine-1")
    assert requests(runtime) == [("queued", None, 0)]


def test_engines_that_end_in_good_order_are_no_deaths(runtime):
    held = held_job(runtime, steps=100)
    with runtime.store.transaction() as session:
        chunks.request(session, held["job_id"], held["fence"], None, runtime.context().now)
    for _ in range(3 * MOST_DELIVERIES):
        with runtime.store.transaction() as session:
            request = chunks.lease(session, "engine", runtime.context().now, 20.0)
            chunks.give_back(session, request.id, request.fence)
    for _ in range(MOST_DELIVERIES + 1):
        with runtime.store.transaction() as session:
            assert chunks.lease(session, "engine", runtime.context().now, 20.0) is not None
    with runtime.store.transaction() as session:
        assert chunks.lease(session, "engine", runtime.context().now, 20.0) is None
    with runtime.store.reading() as session:
        assert chunks.get(session, request.id).error_code == EngineFailed.code


def test_a_call_that_waits_is_answered_when_the_server_closes(runtime):
    held = held_job(runtime, steps=100)

    async def story():
        transport = httpx.ASGITransport(app=create_app(runtime))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=30) as http:
            waiting = asyncio.create_task(http.post("/api/run_chunk", json=held))
            while runtime.draining.waiting != 1:
                await asyncio.sleep(0.01)
            runtime.draining.begun.set()
            ready = await http.get("/readyz")
            runtime.draining.closing.set()
            runtime.store.signals.wake_all()
            return ready, await waiting

    ready, answer = asyncio.run(story())
    assert (ready.status_code, ready.json()["code"]) == (503, "draining")
    assert (answer.status_code, answer.json()["code"]) == (503, "server_ending")
    assert runtime.draining.waiting == 0
    assert requests(runtime) == [("queued", None, 0)]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_stream_is_cut_with_an_end_that_its_reader_sees(runtime, method):
    draining, sent = Draining(), []

    async def endless(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [
            (b"content-type", b"text/event-stream; charset=utf-8")]})  # fmt: skip
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    async def story():
        edge = Edge(endless, redactor(), Metrics(runtime), draining)
        task = asyncio.create_task(edge({"type": "http", "method": method, "path": "/", "headers": []}, None, send))
        while len(sent) < 2:
            await asyncio.sleep(0)
        assert (draining.waiting, len(draining.streams)) == (0 if method == "GET" else 1, 1)
        draining.closing.set()
        draining.cut()
        await task

    asyncio.run(story())
    assert sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
    assert (draining.waiting, draining.streams) == (0, set())


def server_of(before):
    config = uvicorn.Config(lambda *_: None, port=0, lifespan="off", log_config=None)
    return Server(config, Draining(), 5.0, before=before, wake=lambda: None)


def test_a_signal_that_comes_before_the_server_listens_ends_it(monkeypatch):
    server, load = server_of(before=lambda _: None), uvicorn.Config.load

    def told_meanwhile(config):
        load(config)
        server.drain("SIGTERM")

    monkeypatch.setattr(uvicorn.Config, "load", told_meanwhile)
    asyncio.run(asyncio.wait_for(server.serve(), 20))
    assert server.draining.closing.is_set()


def test_a_server_ends_though_the_processes_beside_it_cannot_be_told_to():
    def broken(_):
        raise OSError("no such process")

    server = server_of(before=broken)
    server.drain("SIGTERM")
    assert server.should_exit
