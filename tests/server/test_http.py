"""The HTTP doorway of a real server process."""

import json

import httpx
import pytest

from tests.forked import run
from tests.serving import TINY, serving
from tools import tools

SMALL = {"base": TINY, "budget_bytes": 9 * 256 * 4, "seeds": [1, 2]}


def post(url, tool, token=None, **arguments):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.post(f"{url}/api/{tool}", json=arguments, headers=headers, timeout=60)


def test_health_and_readiness_answer(served):
    assert httpx.get(f"{served.url}/healthz").json() == {"status": "ok"}
    assert httpx.get(f"{served.url}/readyz").json() == {"status": "ready"}


def test_every_tool_stands_in_the_openapi_document(served):
    document = httpx.get(f"{served.url}/openapi.json").json()
    assert {path for path in document["paths"] if path.startswith("/api/")} == {f"/api/{name}" for name in tools}
    assert "$defs" not in json.dumps(document)


def test_a_job_is_submitted_once_however_often_it_is_asked_for(served):
    first = post(served.url, "plan_race", race="once", plan=SMALL).json()
    again = post(served.url, "plan_race", race="once", plan=SMALL).json()
    assert [(job["seed"], job["rung"]) for job in first["jobs"]] == [(1, 0), (2, 0)]
    assert again["jobs"] == first["jobs"]


def test_a_dry_run_counts_and_stores_nothing(served):
    dry = post(served.url, "plan_race", race="dry", plan=SMALL, dry_run=True).json()
    assert (dry["recipes"], dry["seeds"], len(dry["jobs"]), dry["dry_run"]) == (1, [1, 2], 2, True)
    missing = post(served.url, "leaderboard", race="dry")
    assert (missing.status_code, missing.json()["code"]) == (404, "unknown_name")


def test_an_empty_queue_says_when_to_ask_again(served):
    post(served.url, "plan_race", race="empty", plan=SMALL)
    claimed = post(served.url, "claim_job", race="empty", worker="a", n=10).json()["tickets"]
    assert {ticket["seed"] for ticket in claimed} == {1, 2}
    empty = post(served.url, "claim_job", race="empty", worker="a")
    assert (empty.status_code, empty.json()["code"]) == (404, "queue_empty")
    for ticket in claimed:
        released = post(served.url, "release_job", job_id=ticket["job_id"], fence=ticket["fence"], reason="test")
        assert released.json()["job"]["state"] == "queued"
    late = post(served.url, "heartbeat", job_id=claimed[0]["job_id"], fence=claimed[0]["fence"])
    assert (late.status_code, late.json()["code"]) == (409, "lease_lost")


REFUSED = [
    ("submit_job", {"race": "bad", "recipe": {"optimizer": "adamww"}}, 404, "unknown_name"),
    ("submit_job", {"race": "bad", "recipe": {"widht": 3}}, 404, "unknown_name"),
    ("submit_job", {"race": "bad", "recipe": {"width": -3}}, 422, "invalid_value"),
    ("submit_job", {"race": "bad", "recipe": {"composition": "attention"}}, 422, "impossible_combination"),
    ("submit_job", {"race": "bad", "recipe": {}, "prioritty": 3}, 422, "unknown_argument"),
    ("submit_job", {"race": "bad"}, 422, "invalid_value"),
    ("submit_job", {"race": "Not A Name", "recipe": {}}, 422, "invalid_value"),
    ("plan_race", {"race": "bad", "plan": {"gird": {}}}, 422, "invalid_value"),
    ("job_status", {"job_id": "x" * 36}, 404, "unknown_name"),
    ("heartbeat", {"job_id": "x" * 36, "fence": 1}, 404, "unknown_name"),
    ("leaderboard", {"race": "nowhere"}, 404, "unknown_name"),
    ("glossary", {"term": "fnce"}, 404, "unknown_name"),
    ("prune", {}, 422, "invalid_value"),
]


@pytest.mark.parametrize(("tool", "arguments", "status", "code"), REFUSED)
def test_bad_input_is_refused_with_code_and_next_step_and_nothing_is_created(served, tool, arguments, status, code):
    answer = post(served.url, tool, **arguments)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["next_step"]
    assert post(served.url, "leaderboard", race="bad").status_code == 404


def test_a_body_that_is_no_object_is_refused(served):
    for body in (b"[1]", b"{", b"\xff", b"[" * 100_000):
        answer = httpx.post(f"{served.url}/api/leaderboard", content=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_value")


def test_a_foreign_host_or_origin_is_refused(served):
    for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Origin": "http://["}):
        answer = httpx.post(f"{served.url}/api/glossary", json={}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "wrong_origin")


def test_a_huge_body_is_refused(served):
    answer = httpx.post(f"{served.url}/api/glossary", content=b" " * (4 * 1024 * 1024 + 1))
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_a_huge_body_that_does_not_say_its_size_is_refused_too(served):
    parts = (b" " * 65536 for _ in range(65))
    answer = httpx.post(f"{served.url}/api/glossary", content=parts)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_tokens_open_what_their_scopes_say_and_nothing_once_revoked(tmp_path):
    with serving(tmp_path, "--engines", "0", env={"IGLA_ADMIN_TOKEN": "operator-secret"}) as server:
        assert post(server.url, "glossary").json()["code"] == "unauthorized"
        assert post(server.url, "glossary", token="wrong").status_code == 401
        assert post(server.url, "glossary", token="operator-secret").status_code == 200
        reader = igla_token(tmp_path, "create", "reader", "--scope", "read")
        assert post(server.url, "glossary", token=reader).status_code == 200
        refused = post(server.url, "submit_job", token=reader, race="r", recipe={})
        assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
        assert reader not in igla_token(tmp_path, "list")
        igla_token(tmp_path, "revoke", "reader")
        deadline = httpx.Timeout(10)
        assert any(
            httpx.post(
                f"{server.url}/api/glossary", json={}, timeout=deadline, headers={"Authorization": f"Bearer {reader}"}
            ).status_code
            == 401
            for _ in within(5.5)
        )


def test_an_address_others_can_reach_needs_a_token(tmp_path):
    done = run(["serve", "--host", "0.0.0.0", "--port", "0", "--data", str(tmp_path)], check=False)
    assert done.returncode == 2
    assert "token_needed" in done.stderr


def igla_token(data, *arguments):
    return run(["token", *arguments, "--data", str(data)]).stdout.strip()


def within(seconds):
    """Turns until the time is over, a tenth of a second apart."""
    import time

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
        time.sleep(0.1)
