"""The typed client: against the real application in this process, and against a real server that misbehaves."""

import ast
import asyncio
import hashlib
import json
import random
import subprocess
import sys
import threading
from dataclasses import FrozenInstanceError, fields, is_dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

import server.client
from db import tokens
from errors import Refusal
from server.app import create_app
from server.client import AsyncClient, Board, Client, JobStatus, Ran, Ticket
from server.client_reading import plain, read
from server.client_retries import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    AnswerLost,
    AnswerUnreadable,
    Failed,
    Policy,
    Refused,
    Unreachable,
    backoff,
    pause_after,
)
from server.client_source import TARGET, source
from server.runtime import open_runtime
from server.settings import Settings
from server.toolbox import toolbox
from tests.remote import TOOLS, small_race, use
from tests.serving import ROOT

DATA = random.Random(1).randbytes(300_000)
DIGEST = hashlib.sha256(DATA).hexdigest()
REFUSAL = b'{"code": "queue_empty", "message": "No job is queued or running.", "next_step": "Wait."}'


def test_the_file_is_what_the_contracts_say():
    assert TARGET.read_text() == source(toolbox()), "run `make client`"


def test_every_tool_has_a_method_in_both_classes_with_its_required_arguments_first():
    for node in ast.parse(TARGET.read_text()).body:
        if isinstance(node, ast.ClassDef) and node.name in ("Client", "AsyncClient"):
            methods = {one.name: one for one in node.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}
            assert set(TOOLS) <= set(methods)
            for name, tool in TOOLS.items():
                arguments = [one.arg for one in methods[name].args.args][1:]
                required = tool.input_schema.get("required", [])
                assert arguments[: len(required)] == required
                assert set(arguments) == set(tool.input_schema["properties"])


def test_a_client_needs_no_torch_no_database_and_no_server():
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, server.client; print(*sorted(sys.modules))"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    ours = {name for name in loaded if name.partition(".")[0] in ("server", "tools", "db", "training", "kernels")}
    assert ours == {
        "server", "server.address", "server.client", "server.client_async", "server.client_core",
        "server.client_reading", "server.client_retries", "server.client_steps",
    }  # fmt: skip
    assert not {"torch", "sqlmodel", "sqlalchemy", "pydantic", "numpy", "fastapi", "mcp"} & set(loaded)
    assert {"httpx", "errors"} <= set(loaded)


class InProcess(httpx.BaseTransport):
    """The application without a network, for a client that is not async."""

    def __init__(self, app):
        self.app = app

    def handle_request(self, request):
        async def ask():
            body = request.read()
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app=self.app)) as inner:
                return await inner.request(request.method, request.url, headers=request.headers, content=body)

        answer = asyncio.run(ask())
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    runtime = open_runtime(Settings(data=tmp_path_factory.mktemp("client")))
    small_race(runtime, seeds=(1, 2, 3))
    with runtime.store.transaction() as session:
        secret = tokens.create(session, "agent", ["submit", "work"], datetime.now(UTC))[0]
    yield runtime, secret
    runtime.store.close()


@pytest.fixture
def igla(opened):
    runtime, secret = opened
    headers = {"Authorization": f"Bearer {secret}"}
    http = httpx.Client(transport=InProcess(create_app(runtime)), base_url="http://localhost", headers=headers)
    with Client(http) as client:
        yield client


def test_answers_are_typed_and_frozen_and_say_what_the_tools_say(igla, opened):
    runtime, _ = opened
    ticket = igla.claim_job("worker", race="cup").tickets[0]
    assert isinstance(ticket, Ticket)
    assert isinstance(ticket.lease_expires_at, datetime)
    assert ticket.lease_expires_at.tzinfo is not None
    status = igla.job_status(ticket.job_id, points=2)
    assert isinstance(status, JobStatus)
    assert json.loads(json.dumps(plain(status))).keys() == use(runtime, "job_status", job_id=ticket.job_id).keys()
    assert (status.job.state, status.job.worker, status.curve) == ("running", "worker", ())
    with pytest.raises(FrozenInstanceError):
        status.job.state = "done"
    assert igla.release_job(ticket.job_id, ticket.fence, "enough").job.state == "queued"


def test_a_refusal_has_the_servers_code_message_and_next_step(igla, opened):
    runtime, _ = opened
    with pytest.raises(Refused) as far:
        igla.leaderboard("cupp")
    with pytest.raises(Refusal) as near:
        use(runtime, "leaderboard", race="cupp")
    assert (far.value.code, far.value.message, far.value.next_step) == (
        near.value.code, near.value.message, near.value.next_step,
    )  # fmt: skip
    assert str(far.value) == str(near.value)
    assert far.value.status == 404
    with pytest.raises(Refused) as refused:
        igla.prune(race="cup")
    assert refused.value.code == "scope_missing"


def test_the_async_client_does_the_same(opened, tmp_path):
    runtime, secret = opened
    headers = {"Authorization": f"Bearer {secret}"}
    file = tmp_path / "there"
    file.write_bytes(DATA)

    async def story():
        transport = httpx.ASGITransport(app=create_app(runtime))
        http = httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers)
        async with AsyncClient(http) as client:
            board = await client.leaderboard("cup")
            assert isinstance(board, Board)
            assert [row async for row in client.iter_leaderboard("cup")] == []
            with pytest.raises(Refused, match="no race"):
                await client.leaderboard("cupp")
            assert await client.upload(file) == DIGEST
            await client.download(DIGEST, tmp_path / "back")
            return (await client.glossary("lease")).rows[0].term

    assert asyncio.run(story()) == "lease"
    assert (tmp_path / "back").read_bytes() == DATA == runtime.artifacts.get(DIGEST)


@pytest.mark.parametrize("size", [0, 1, 70_000])
def test_files_go_there_and_back(igla, tmp_path, size, monkeypatch):
    monkeypatch.setattr("server.client_steps.PART", 32_768)
    file = tmp_path / "there"
    file.write_bytes(DATA[:size])
    digest = igla.upload(file)
    igla.download(digest, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == DATA[:size]


def test_an_upload_that_the_server_does_not_want_is_refused_and_not_tried_forever(igla, tmp_path):
    file = tmp_path / "no-checkpoint"
    file.write_bytes(b"x" * 100)
    with pytest.raises(Refused):
        igla.upload(file, "checkpoint")


class Flaky(BaseHTTPRequestHandler):
    """Answers with what the test has put into `plan`: (status, body, headers) or, for a download, bytes to send."""

    plan: list
    seen: list
    asked: list

    def do_POST(self):
        self.asked.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer()

    def do_GET(self):
        self.answer()

    def answer(self):
        step = self.plan.pop(0)
        self.seen.append(self.headers.get("Range"))
        self.close_connection = True
        if step == "hang up":
            return
        if isinstance(step, int):
            start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(DATA) - start))
            self.end_headers()
            self.wfile.write(DATA[start : start + step])
            return
        status, body, *headers = step
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def flaky():
    """A function that makes a client of a server with this plan; `waits` are the pauses that it took."""
    made = []

    def make(*plan, patience=60.0, stop=False, repeat=frozenset()):
        handler = type("Planned", (Flaky,), {"plan": list(plan), "seen": [], "asked": []})
        serving = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        waits = []

        def wait(seconds):
            waits.append(seconds)
            return stop

        http = httpx.Client(base_url=f"http://127.0.0.1:{serving.server_port}")
        made.append((serving, http))
        client = Client(http, Policy(patience=patience, repeat=repeat, chance=random.Random(0)), wait)
        client.waits, client.seen, client.asked = waits, handler.seen, handler.asked
        return client

    yield make
    for serving, http in made:
        http.close()
        serving.shutdown()
        serving.server_close()


@given(st.integers(0, 1000), st.integers())
def test_a_pause_is_never_longer_than_its_bound_which_doubles(attempt, seed):
    pause = backoff(attempt, random.Random(seed))
    assert 0 <= pause <= min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt)


def test_clients_that_lost_one_server_do_not_come_back_together():
    pauses = {backoff(8, random.Random(seed)) for seed in range(50)}
    assert len(pauses) == 50
    assert max(pauses) - min(pauses) > LONGEST_PAUSE / 2


@given(st.booleans(), st.booleans(), st.floats(0, 1000), st.floats(0, 1000), st.floats(0, 500), st.integers(1, 50))
def test_what_may_have_been_done_is_repeated_only_where_that_is_safe(sent, safe, after, elapsed, patience, failures):
    failed = Failed(reason="x", sent=sent, retry_after=after)
    pause = pause_after(failed, failures, elapsed, Policy(patience=patience), repeatable=safe)
    if (sent and not safe) or elapsed + after > patience:
        assert pause is None
    else:
        assert after <= pause <= after + LONGEST_PAUSE


def test_what_passes_is_tried_again(flaky):
    client = flaky((503, b""), (502, b"<html>"), "hang up", (200, b'{"rows": []}'))
    assert client.glossary().rows == ()
    assert len(client.waits) == 3


def test_who_is_told_to_slow_down_waits_that_long_for_every_tool(flaky):
    told = (429, b'{"code": "rate_limited", "message": "m", "next_step": "n"}', ("Retry-After", "7"))
    client = flaky(told, (200, b'{"tickets": []}'))
    assert client.claim_job("me").tickets == ()
    assert 7 <= client.waits[0] <= 7 + 2 * FIRST_PAUSE
    with pytest.raises(Refused) as refused:
        flaky(told, patience=5).claim_job("me")
    assert refused.value.code == "rate_limited"


@pytest.mark.parametrize("failure", [(502, b""), "hang up"])
def test_a_call_that_may_have_been_done_is_not_sent_twice_unless_the_caller_says_so(flaky, failure):
    with pytest.raises(AnswerLost):
        flaky(failure, (200, b'{"tickets": []}')).claim_job("me")
    client = flaky(failure, (200, b'{"tickets": []}'), repeat=frozenset({"claim_job"}))
    assert client.claim_job("me").tickets == ()


def test_a_refusal_is_raised_at_once(flaky):
    client = flaky((404, REFUSAL))
    with pytest.raises(Refused, match=r"queue_empty: No job is queued or running\. Wait\."):
        client.claim_job("me")
    assert client.waits == []


def test_what_a_server_says_cannot_write_to_the_terminal(flaky):
    body = json.dumps({"code": "queue_empty", "message": "a\x1b[2Jb\nc" + "x" * 5000, "next_step": "\x07"}).encode()
    with pytest.raises(Refused) as refused:
        flaky((404, body)).claim_job("me")
    assert str(refused.value).isprintable()
    assert len(refused.value.message) == 2000
    with pytest.raises(Refused, match=r"^refused: The server answered 404"):
        flaky((404, b'{"code": "\\u001b[31m", "message": "m"}')).claim_job("me")


@pytest.mark.parametrize(
    ("answer", "raised"),
    [
        ((418, b"teapot"), Refused),
        ((200, b"<html>welcome</html>"), AnswerUnreadable),
        ((200, b'{"rows": [{"term": "x"}]}'), AnswerUnreadable),
        ((200, b'{"rows": 3}'), AnswerUnreadable),
        ((302, b"", ("Location", "http://127.0.0.1:9/")), Refused),
    ],
)
def test_an_answer_that_makes_no_sense_is_no_reason_to_go_on(flaky, answer, raised):
    client = flaky(answer)
    with pytest.raises(raised):
        client.glossary()
    assert client.waits == []


def test_patience_has_an_end_and_a_caller_that_shall_stop_has_none(flaky):
    with pytest.raises(Unreachable, match="1 tries"):
        flaky((503, b""), patience=-1).glossary()
    with pytest.raises(Unreachable, match="1 tries"):
        flaky((503, b""), (200, b"{}"), stop=True).glossary()


def test_a_server_that_is_not_there_is_unreachable_for_every_tool():
    with Client.at("http://127.0.0.1:9", "igla_secret", Policy(patience=-1)) as client:
        with pytest.raises(Unreachable, match="ConnectError") as refused:
            client.claim_job("me")
        assert "secret" not in str(refused.value)


RAN = {
    "job_id": "j", "samples": [{"step": 3, "bpb": 2, "nll_sum": 1.5, "byte_count": 9, "new": 1}], "receipt": None,
    "provenance": "measured", "effective_recipe": {}, "effective_digest": "d", "environment": "e", "checkpoint": None,
    "decision": {"action": "continue", "rung": 0, "reason": "", "numbers": {"x": 1}, "state": "running"},
    "bytes_per_second": 1e3, "lease_expires_at": "2026-11-21T10:00:00Z", "from_a_later_release": {},
}  # fmt: skip


def test_a_long_chunk_is_waited_for_in_short_calls(flaky):
    running = (202, b'{"code": "chunk_running", "message": "m", "next_step": "n"}')
    client = flaky(running, running, (200, json.dumps(RAN).encode()))
    ran = client.wait_run_chunk("j", 1)
    assert (ran.samples[0].bpb, ran.decision.numbers) == (2.0, {"x": 1.0})
    with pytest.raises(Refused, match="chunk_running"):
        flaky(running).wait_run_chunk("j", 1, seconds=0)


def test_fields_of_later_releases_are_left_out_and_answers_can_be_sent_back():
    ran = read(Ran, RAN)
    assert isinstance(ran.samples[0].bpb, float)
    assert read(Ran, plain(ran)) == ran
    with pytest.raises(AnswerUnreadable, match="Ran"):
        read(Ran, {**RAN, "decision": None})


def test_every_result_is_a_frozen_dataclass_with_hashable_sequences():
    kinds = [kind for kind in vars(server.client).values() if isinstance(kind, type) and is_dataclass(kind)]
    assert len(kinds) > 20
    for kind in kinds:
        assert kind.__dataclass_params__.frozen
        assert not any("list[" in str(one.type) for one in fields(kind))


def test_pages_follow_each_other_to_the_end(flaky):
    def page(*terms, cursor):
        row = {**dict.fromkeys(("rank", "rung", "rungs", "n"), 1), **dict.fromkeys(("mean", "sd", "bpb"), 2.5),
               **dict.fromkeys(("recipe", "provenance", "corpus"), "x"), "seeds": [1], "values": [2.5]}  # fmt: skip
        told = {"race": "cup", "corpus": "c", "provenance": "measured", "next_cursor": cursor}
        return 200, json.dumps({**told, "rows": [{**row, "name": term} for term in terms]}).encode()

    client = flaky(page("a", "b", cursor="2"), page(cursor="4"), page("c", cursor=None))
    assert [row.name for row in client.iter_leaderboard("cup", limit=2)] == ["a", "b", "c"]
    assert [json.loads(body).get("cursor") for body in client.asked] == [None, "2", "4"]


def test_a_download_goes_on_where_it_broke_off(flaky, tmp_path):
    client = flaky(100_000, 50_000, len(DATA))
    client.download(DIGEST, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == DATA
    assert client.seen[0] is None
    offsets = [int(one[6:-1]) for one in client.seen[1:]]
    assert 0 < offsets[0] <= 100_000 < offsets[1] <= 150_000


def test_bytes_with_another_digest_are_dropped_and_fetched_again(flaky, tmp_path):
    client = flaky((200, b"something else"), len(DATA))
    client.download(DIGEST, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == DATA
    assert client.seen == [None, None]
