import re

import httpx
import pytest
from pydantic import ValidationError

from db.tokens import SCOPES
from server.auth import is_neighbour
from server.challenges import WELL_KNOWN, document
from server.settings import Settings
from tests.calling import calling


@pytest.fixture(scope="module")
def caller(tmp_path_factory):
    with calling(tmp_path_factory.mktemp("closed"), admin_token="operators-own") as made:
        yield made


def parts(answer):
    kind, _, rest = answer.headers["www-authenticate"].partition(" ")
    assert kind == "Bearer"
    return dict(re.findall(r'(\w+)="([^"]*)"', rest))


def test_who_sends_no_token_is_told_where_to_learn_how_to_get_one_and_no_error(caller):
    answer = caller.call("submit_job")
    assert answer.status_code == 401
    assert parts(answer) == {"resource_metadata": f"http://localhost{WELL_KNOWN}", "scope": "submit"}


def test_who_sends_a_wrong_token_is_told_that_it_is_invalid(caller):
    answer = caller.get("/openapi.json", "igla_nobody")
    assert parts(answer) == {
        "error": "invalid_token", "resource_metadata": f"http://localhost{WELL_KNOWN}", "scope": "read",
    }  # fmt: skip


def test_the_challenge_of_mcp_names_its_own_metadata_and_the_scopes_of_all_its_tools(caller):
    told = parts(caller.request("POST", "/mcp", json={}))
    assert told == {"resource_metadata": f"http://localhost{WELL_KNOWN}/mcp", "scope": "read submit work"}


@pytest.mark.parametrize("path", ["/api/submit_job", "/api/claim_job", f"/artifacts/{'0' * 64}"])
def test_a_missing_scope_is_named_in_the_challenge(caller, path):
    reader = caller.token("reader", "read")
    method = "PUT" if path.startswith("/artifacts/") else "POST"
    answer = caller.request(method, path, reader, json={})
    assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
    needed = {"/api/submit_job": "submit", "/api/claim_job": "work"}.get(
        path, answer.json()["message"][:-1].split()[-1]
    )
    assert parts(answer) == {
        "error": "insufficient_scope", "resource_metadata": f"http://localhost{WELL_KNOWN}", "scope": needed,
    }  # fmt: skip


@pytest.mark.parametrize("path", ["", "/mcp"])
def test_the_metadata_answers_without_a_token_and_names_the_resource_that_was_asked_for(caller, path):
    told = caller.get(WELL_KNOWN + path)
    assert told.status_code == 200
    assert told.json() == {
        "resource": f"http://localhost{path}", "resource_name": "igla", "scopes_supported": list(SCOPES),
        "bearer_methods_supported": ["header"],
    }  # fmt: skip
    assert caller.get(WELL_KNOWN + path, base="http://evil.example").json()["code"] == "wrong_origin"


def test_a_forwarded_scheme_does_not_count_by_itself(caller):
    told = caller.get(WELL_KNOWN, headers={"X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example"})
    assert told.json()["resource"] == "http://localhost"


def test_behind_a_real_server_a_forwarded_scheme_counts_only_from_a_proxy_that_is_trusted(served):
    forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}
    told = httpx.get(served.url + WELL_KNOWN, headers=forwarded)
    assert told.json()["resource"] == served.url


def test_the_public_url_stands_in_challenges_and_metadata_whatever_the_host_says(tmp_path):
    with calling(tmp_path, admin_token="a", public_url="https://igla.example/") as caller:
        assert caller.get(f"{WELL_KNOWN}/mcp").json()["resource"] == "https://igla.example/mcp"
        told = parts(caller.call("glossary"))
        assert told["resource_metadata"] == f"https://igla.example{WELL_KNOWN}"
        assert caller.call("glossary", "a", sent={"base": "https://igla.example"}).status_code == 200


def test_an_authorization_server_stands_in_the_metadata_and_scopes_are_as_it_knows_them():
    settings = Settings(oauth_issuer="https://login.example", oauth_audience="https://igla.example")
    told = document(settings, "https://igla.example", "")
    assert told["authorization_servers"] == ["https://login.example"]
    assert told["scopes_supported"] == [f"igla:{scope}" for scope in SCOPES]


@pytest.mark.parametrize("url", ["igla.example", "ftp://igla.example", "https://igla.example/here", "https://"])
def test_a_public_url_that_is_no_origin_is_refused(url):
    with pytest.raises(ValidationError, match="without a path"):
        Settings(public_url=url)


@pytest.mark.parametrize(
    ("url", "host"),
    [("https://[2001:db8::1]", "[2001:db8::1]"), ("https://[2001:db8::1]:8443", "[2001:db8::1]:8443"),
     ("https://Igla.Example.org", "igla.example.org"), ("https://igla.example.org", "IGLA.example.org:443")],
)  # fmt: skip
def test_the_name_of_the_public_url_is_answered_for_however_it_is_written(tmp_path, url, host):
    with calling(tmp_path, admin_token="a", public_url=url, toolsets="") as caller:
        assert caller.get(WELL_KNOWN, headers={"Host": host}).status_code == 200
        assert caller.get(WELL_KNOWN, headers={"Host": "[2001:db8:"}).status_code == 403


@pytest.mark.parametrize(("origin", "host", "is_other"), [
    ("http://localhost:3000", "localhost:8000", True),
    ("http://localhost", "localhost:8000", True),
    ("https://igla.example", "igla.example:8000", True),
    ("http://localhost:8000", "localhost:8000", False),
    ("https://igla.example", "igla.example:443", False),
    ("http://localhost", "localhost:80", False),
    ("http://localhost:8080", "localhost", False),
    ("https://igla.example", "127.0.0.1:8000", False),
    ("http://[::1]:3000", "[::1]:8000", True),
    ("http://[::1]:8000", "[::1]:8000", False),
])  # fmt: skip
def test_a_page_of_another_port_of_this_machine_is_another_site(origin, host, is_other):
    assert is_neighbour(origin, host) is is_other


def test_a_page_of_another_port_of_this_machine_is_refused(tmp_path):
    with calling(tmp_path) as caller:
        for port, status in ((3000, 403), (8000, 200)):
            told = {"Host": "localhost:8000", "Origin": f"http://LOCALHOST:{port}"}
            assert caller.request("POST", "/api/glossary", headers=told, json={}).status_code == status


def test_an_address_with_a_nul_is_refused_before_any_store_is_asked(tmp_path):
    with calling(tmp_path, toolsets="") as caller:
        for path in ("/races/%00", "/runs/%00", "/arena/%00", "/events/races/%00"):
            answer = caller.get(path)
            assert (answer.status_code, answer.json()["code"]) == (422, "invalid_value"), path
