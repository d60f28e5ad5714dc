"""Random and hostile requests, MCP and HTTP: an answer to each, a refusal where one is due, and no secret anywhere."""

import json
import logging
from collections import Counter

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import checks

from db import audit, traffic
from tests.fuzzing import OPERATOR, check, deep, fuzzed, requests
from tests.modern import bearer, messages, modern

REQUESTS = 300
QUIET = settings(
    database=None, derandomize=True, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
LARGEST = 4 * 1024 * 1024


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with fuzzed(tmp_path_factory.mktemp("fuzzed")) as serving:
        yield serving


@pytest.fixture
def no_secret_is_logged(server, caplog, capfd):
    caplog.set_level(logging.INFO)
    yield
    said = caplog.text + "".join(capfd.readouterr())
    assert not [one for one in server[3] if one in said]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR], caplog.text


def test_random_mcp_requests_are_answered_or_refused(server, no_secret_is_logged):
    client, held, job, secret = server
    seen = Counter()

    @settings(QUIET, max_examples=REQUESTS)
    @given(requests(job))
    def each(request):
        seen[check(client, held, secret, request)] += 1

    each()
    assert seen.total() == REQUESTS
    assert seen[200, None] >= REQUESTS / 10
    assert {status for status, _ in seen} >= {200, 400, 401, 404}


def operations(client):
    schema = schemathesis.openapi.from_dict(client.get("/openapi.json", headers=bearer(OPERATOR)).json())
    return [one.ok() for one in schema.get_all_operations()]


def test_every_operation_of_the_openapi_document_answers_as_it_says(server, no_secret_is_logged):
    client, _, _, secret = server
    found = operations(client)
    assert len(found) >= 15
    for operation in found:

        @settings(QUIET, max_examples=5)
        @given(operation.as_strategy())
        def each(case):
            sent = case.as_transport_kwargs(base_url="http://localhost")
            sent = {**sent, "headers": {**sent["headers"], **bearer(OPERATOR)}}
            answer = client.request(**{name: value for name, value in sent.items() if name != "cookies"})
            assert answer.status_code < 500, answer.text
            assert not [one for one in secret if one in answer.text]
            case.validate_response(answer, checks=CHECKS)

        each()


def test_a_request_that_is_too_large_or_too_deep_is_refused_at_both_doorways(server):
    client, _, _, _ = server
    for path in ("/mcp", "/api/glossary"):
        large = client.post(path, content=b" " * (LARGEST + 1), headers=bearer(OPERATOR))
        assert (large.status_code, large.json()["code"]) == (413, "body_too_large")
        parts = (b" " * 65536 for _ in range(65))
        grown = client.post(path, content=parts, headers=bearer(OPERATOR))
        assert (grown.status_code, grown.json()["code"]) == (413, "body_too_large")
    nested = client.post("/api/glossary", content=deep(100_000), headers=bearer(OPERATOR))
    assert (nested.status_code, nested.json()["code"]) == (422, "invalid_value")
    accept = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
    for era in ({}, {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/list"}):
        body = '{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":' + deep(100_000) + "}}"
        nested = client.post("/mcp", content=body, headers={**accept, **era, **bearer(OPERATOR)})
        assert (nested.status_code, nested.json()["error"]["code"]) == (400, -32700)


def test_a_version_that_nobody_speaks_is_refused_with_those_that_are(server):
    client, _, _, _ = server
    answer = modern(client, "tools/list", token=OPERATOR, headers={"MCP-Protocol-Version": "2030-01-01"})
    assert answer.status_code == 400
    assert messages(answer)[0]["error"]["code"] in (-32020, -32022)
    params = {"protocolVersion": "2026-07-28", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    older = modern(client, "initialize", params, token=OPERATOR)
    assert (older.status_code, messages(older)[0]["error"]["code"]) == (404, -32601)


def test_an_address_that_nothing_answers_to_is_refused_with_code_and_next_step(server):
    client, _, _, _ = server
    for method, path, status, code in [
        ("GET", "/nowhere/at/all", 404, "unknown_route"),
        ("POST", "/api/submit_jobs", 404, "unknown_route"),
        ("POST", "/mcp/", 404, "unknown_route"),
        ("GET", "/api/glossary", 405, "wrong_method"),
        ("PATCH", "/mcp", 405, None),
    ]:
        answer = client.request(method, path, headers=bearer(OPERATOR), follow_redirects=False)
        assert answer.status_code == status, path
        if code is not None:
            assert (answer.json()["code"], bool(answer.json()["next_step"])) == (code, True)
    assert client.get("/nowhere").status_code == 401


@pytest.mark.parametrize("who", ["reader", "visitor", "stranger"])
def test_a_secret_that_a_caller_sends_by_mistake_is_not_logged_nor_kept(server, caplog, capfd, who):
    client, held, _, _ = server
    caplog.set_level(logging.DEBUG)
    secret = held[who]
    mistaken = {"name": "leaderboard", "arguments": {"race": secret}}
    answers = [
        modern(client, "tools/call", mistaken, token=secret),
        client.post("/api/leaderboard", content=json.dumps({"race": secret}), headers=bearer(secret)),
        client.get("/.well-known/oauth-protected-resource", headers=bearer(secret)),
    ]
    client.app.state.traffic.flush()
    with client.app.state.traffic.store.reading() as session:
        kept = str(traffic.latest(session, 10_000)) + str(audit.rows(session, 10_000))
    for text in (caplog.text, "".join(capfd.readouterr()), kept, *(str(one.headers) for one in answers)):
        assert secret not in text
    assert secret not in answers[-1].text
