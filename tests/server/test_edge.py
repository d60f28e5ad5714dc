"""Every answer has the id of its request, and what the request set going carries it on."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from starlette.testclient import TestClient

from db.redaction import redactor
from server.app import create_app
from server.edge import ACCEPTED, request_id_of
from server.runtime import open_runtime
from server.settings import Settings
from tests.observing import logging_to_pipe, work_once
from tests.serving import TINY

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def given_id(value):
    return {"headers": [(b"host", b"x"), (b"x-request-id", value.encode("latin-1", "replace"))]}


@pytest.fixture(scope="module")
def runtime(tmp_path_factory):
    opened = open_runtime(Settings(data=tmp_path_factory.mktemp("edge")))
    yield opened
    opened.store.close()


@pytest.fixture(scope="module")
def client(runtime):
    with TestClient(create_app(runtime), base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client


@given(st.from_regex(ACCEPTED, fullmatch=True))
def test_an_id_of_the_accepted_form_is_kept_unless_it_holds_a_secret(value):
    kept = request_id_of(given_id(value), redactor()) == value
    assert kept == (redactor()(value) == value)


@given(st.text(max_size=80).filter(lambda value: not ACCEPTED.fullmatch(value)))
def test_any_other_id_is_replaced(value):
    assert UUID.fullmatch(request_id_of(given_id(value), redactor()))


def test_an_id_that_is_a_token_is_replaced():
    for value in ("igla_abcdefghijklmnop", "eyJhbGciOi.eyJzdWIiOi.abcdefgh"):
        assert UUID.fullmatch(request_id_of(given_id(value), redactor()))
    assert UUID.fullmatch(request_id_of(given_id("open-sesame"), redactor(["open-sesame"])))
    assert UUID.fullmatch(request_id_of({"headers": []}, redactor()))


def test_every_answer_has_one_header_with_the_id(client):
    def sent(method, path, **options):
        return client.request(method, path, headers={"X-Request-ID": "mine-1", **options.pop("headers", {})}, **options)

    answers = [
        sent("GET", "/healthz"), sent("GET", "/readyz"), sent("GET", "/nowhere"), sent("GET", "/api/job_status"),
        sent("POST", "/api/job_status", json={"job_id": "0" * 36}), sent("POST", "/mcp", json={}),
        sent("GET", "/healthz", headers={"host": "evil.example"}), sent("POST", "/api/glossary", content=b"{"),
        sent("POST", "/api/leaderboard", headers={"host": "evil.example"}),
    ]  # fmt: skip
    assert [one.headers.get_list("x-request-id") for one in answers] == [["mine-1"]] * len(answers)
    assert {404, 405, 403, 422} <= {one.status_code for one in answers}
    assert UUID.fullmatch(client.get("/healthz").headers["x-request-id"])


def test_a_defect_answers_with_the_id_too(runtime, client, monkeypatch):
    monkeypatch.setattr(type(runtime.store), "reading", None)
    answer = client.post("/api/job_status", json={"job_id": "0" * 36}, headers={"X-Request-ID": "broken-1"})
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert answer.headers.get_list("x-request-id") == ["broken-1"]


def post(client, tool, request_id, **arguments):
    answer = client.post(f"/api/{tool}", json=arguments, headers={"X-Request-ID": request_id})
    assert answer.status_code < 500 or answer.json()["code"] == "chunk_running", answer.text
    return answer.json()


def test_the_id_of_a_call_reaches_its_jobs_the_engine_s_lines_and_promoted_jobs(runtime, client):
    plan = {"base": TINY, "budget_bytes": 9 * 256 * 4, "seeds": [1], "quorum": 1, "chunks": [1, 1, 1]}
    post(client, "plan_race", "planned-1", race="ids", plan=plan)
    ticket = post(client, "claim_job", "claimed-1", worker="w", race="ids")["tickets"][0]
    post(client, "run_chunk", "chunk-1", job_id=ticket["job_id"], fence=ticket["fence"], wait_seconds=0)
    with logging_to_pipe(Settings(log_format="json"), "engine") as (output, said):
        work_once(runtime, output)
        lines = said()
    assert {(line["process"], line["job"], line["request_id"]) for line in lines} == {
        ("engine", ticket["job_id"], "chunk-1")
    }
    assert [line["event"] for line in lines] == ["chunk_begins", "chunk_done"]
    status = post(client, "job_status", "looked-1", job_id=ticket["job_id"])
    assert (status["job"]["request_id"], len(status["curve"])) == ("planned-1", 1)
    with runtime.store.reading() as session:
        found = session.connection().execute(text("SELECT rung, request_id FROM job ORDER BY rung")).all()
    assert found == [(0, "planned-1"), (1, "planned-1")]
