"""What operators see of the calls of agents: all of them, refused ones too, as they happen, and no secret."""

import asyncio
import json
import signal
import time

import httpx
import jwt
import pytest
from sqlalchemy.exc import InterfaceError, TimeoutError
from typer.testing import CliRunner

from db import traffic
from server import traffic as module
from server.auditing import call_of
from server.challenges import WELL_KNOWN
from server.cli import app
from server.traffic import Streams, StreamsFull, Traffic, number_of
from tests.calling import calling
from tests.serving import serving
from tests.tokens import token


@pytest.fixture(scope="module")
def caller(tmp_path_factory):
    folder = tmp_path_factory.mktemp("traffic")
    with calling(folder, rate_tools="leaderboard=1/minute", admin_token="operators-own") as made:
        made.folder = folder
        made.ann = made.token("ann", "read")
        yield made


def written(caller, act):
    """The rows that come of what is done."""
    with caller.runtime.store.reading() as session:
        before = traffic.last_id(session)
    act()
    caller.app.state.traffic.flush()
    with caller.runtime.store.reading() as session:
        return traffic.after(session, before)


def test_every_call_leaves_a_row_with_how_it_ended_refused_ones_too(caller):
    def play():
        caller.call("glossary", caller.ann)
        caller.call("submit_job", caller.ann, race="cup", recipe={})
        caller.call("glossary", caller.ann, wrong=1)
        caller.call("leaderboard", caller.ann, race="nowhere")
        caller.call("leaderboard", caller.ann, race="nowhere")

    found = written(caller, play)
    assert [(one.tool, one.code) for one in found] == [
        ("glossary", "ok"), ("submit_job", "scope_missing"), ("glossary", "unknown_argument"),
        ("leaderboard", "unknown_name"), ("leaderboard", "rate_limited"),
    ]  # fmt: skip
    assert {(one.principal, one.credential, one.doorway) for one in found} == {("ann", caller.ann[:13], "http")}
    assert (found[1].subject, found[1].read_only, found[0].read_only) == ({"race": "cup"}, False, True)
    assert all(one.seconds > 0 for one in found)


def test_a_secret_that_is_sent_as_an_argument_by_mistake_enters_no_row(caller):
    mistaken = {"race": caller.ann}
    other = {"race": jwt.encode({"sub": "ann"}, "k" * 32, "HS256")}
    found = written(caller, lambda: [caller.call("job_status", caller.ann, **one) for one in (mistaken, other)])
    assert len(found) == 2 and not [one for one in (caller.ann, other["race"]) if one in str(found)]


def test_what_does_not_fit_is_counted_and_said_and_later_calls_are_written(caller, monkeypatch, capsys):
    monkeypatch.setattr(module, "MOST_WAITING", 2)
    found = written(caller, lambda: [caller.call("glossary", caller.ann) for _ in range(5)])
    assert len(found) == 2
    assert "traffic_dropped" in (said := capsys.readouterr().out) and "calls=3" in said
    assert len(written(caller, lambda: caller.call("glossary", caller.ann))) == 1


def test_what_is_left_at_the_end_is_written(caller):
    made = Traffic(caller.runtime.store)
    with caller.runtime.store.reading() as session:
        before = traffic.last_id(session)
    with made.writing():
        made.ended(call_of(caller.runtime.context(), "prune"), "ok", 0.1)
    with caller.runtime.store.reading() as session:
        assert [one.tool for one in traffic.after(session, before)] == ["prune"]


async def taken(streams, seen, count):
    """The first events of a stream."""
    found, stream = [], streams.opened(seen)
    async for one in stream:
        found.append(one)
        if len(found) == count:
            break
    await stream.aclose()
    return [(int(one.id), json.loads(one.data)["code"]) for one in found]


def test_a_stream_goes_on_from_the_event_that_a_client_saw_last(caller):
    rows = written(caller, lambda: [caller.call("glossary", caller.ann) for _ in range(3)])
    streams = Streams(caller.runtime.store)
    found = asyncio.run(taken(streams, rows[0].id, 2))
    assert found == [(rows[1].id, "ok"), (rows[2].id, "ok")]
    assert streams.open == 0


def test_streams_are_bounded_and_for_operators_only(caller, monkeypatch):
    assert caller.get("/events/traffic").status_code == 401
    refused = caller.get("/events/traffic", caller.ann)
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
    assert 'scope="admin"' in refused.headers["www-authenticate"]
    wrong = caller.get("/events/traffic?after=x", "operators-own")
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_value")
    monkeypatch.setattr(module, "MOST_STREAMS", 0)
    full = caller.get("/events/traffic", "operators-own")
    assert (full.status_code, full.json()["code"]) == (429, StreamsFull.code)


def test_an_id_is_a_whole_number():
    assert [number_of(text) for text in (None, "", "0", "12")] == [None, None, 0, 12]


def test_the_command_shows_the_latest_calls_and_no_control_signs(caller):
    loud = caller.token("b\x1b[31mob", "read")
    written(caller, lambda: caller.call("glossary", loud))
    done = CliRunner().invoke(app, ["traffic", "--limit", "2", "--data", str(caller.folder)], env={"COLUMNS": "200"})
    assert done.exit_code == 0 and "b?[31mob" in done.stdout and "glossary" in done.stdout
    lines = CliRunner().invoke(app, ["traffic", "--json", "--data", str(caller.folder)]).stdout.splitlines()
    assert json.loads(lines[-1])["tool"] == "glossary"


def events(answer, count):
    """The first events of an answer: (id, data)."""
    found, last = [], None
    for line in answer.iter_lines():
        if line.startswith("id: "):
            last = int(line[4:])
        if line.startswith("data: "):
            found.append((last, json.loads(line[6:])))
        if len(found) == count:
            return found
    raise AssertionError("the stream ended")


BEHIND_A_PROXY = {"IGLA_ADMIN_TOKEN": "operators-own", "IGLA_TRUSTED_PROXIES": "127.0.0.1"}


@pytest.mark.slow
def test_a_server_streams_what_agents_call_resumes_and_ends_its_streams_when_it_stops(tmp_path):
    with serving(tmp_path, "--engines", "0", env=BEHIND_A_PROXY) as server:
        told = httpx.get(f"{server.url}{WELL_KNOWN}", headers={"X-Forwarded-Proto": "https"}).json()
        assert told["resource"] == server.url.replace("http:", "https:")
        agent = token(tmp_path, "agent", "read")
        operator = {"Authorization": "Bearer operators-own"}
        with httpx.Client(base_url=server.url, timeout=30) as client:

            def ask(tool):
                client.post(f"/api/{tool}", json={}, headers={"Authorization": f"Bearer {agent}"})

            with client.stream("GET", "/events/traffic?after=0", headers=operator) as answer:
                ask("glossary")
                ((first, row),) = events(answer, 1)
            assert (row["tool"], row["principal"], row["code"]) == ("glossary", "agent", "ok")
            ask("leaderboard")
            with client.stream("GET", "/events/traffic", headers={**operator, "Last-Event-ID": str(first)}) as answer:
                ((_, row),) = events(answer, 1)
                assert (row["tool"], row["code"]) == ("leaderboard", "invalid_value")
                server.process.send_signal(signal.SIGTERM)
                asked = time.monotonic()
                server.process.wait(20)
        assert time.monotonic() - asked < 10
        with server.process.stderr as said:
            assert agent not in said.read()


class Late(Traffic):
    """One whose last call ends while the thread writes, when the end has been told."""

    def flush(self):
        super().flush()
        if not self.stop.is_set():
            self.stop.set()
            self.ended(call_of(self.context, "prune"), "ok", 0.1)


def test_a_call_that_ends_while_the_last_batch_is_written_is_not_lost(caller):
    made = Late(caller.runtime.store)
    made.context = caller.runtime.context()
    with caller.runtime.store.reading() as session:
        before = traffic.last_id(session)
    with made.writing():
        made.ended(call_of(made.context, "glossary"), "ok", 0.1)
        assert made.stop.wait(20)
    with caller.runtime.store.reading() as session:
        assert [one.tool for one in traffic.after(session, before)] == ["glossary", "prune"]


@pytest.mark.parametrize("error", [TimeoutError("no connection is free"), InterfaceError("", {}, Exception())])
def test_no_trouble_with_the_database_ends_the_writing(caller, error, monkeypatch, capsys):
    def broken(self):
        raise error

    made = Traffic(caller.runtime.store)
    made.ended(call_of(caller.runtime.context(), "glossary"), "ok", 0.1)
    with monkeypatch.context() as patched:
        patched.setattr(type(made.store), "transaction", broken)
        made.flush()
    assert "traffic_dropped" in capsys.readouterr().out
