"""Random requests to a whole server in this process, and what must hold of every answer."""

import json
from contextlib import contextmanager

from hypothesis import strategies as st
from mcp_types import CLIENT_CAPABILITIES_META_KEY, PROTOCOL_VERSION_META_KEY
from pydantic import SecretStr
from starlette.testclient import TestClient

from db import tokens
from server.app import create_app
from server.mcp_tasks import EXTENSION
from server.runtime import open_runtime
from server.settings import Settings
from server.toolbox import toolbox
from tests.issuer import AUDIENCE, issuing
from tests.modern import NAMED, VERSION, bearer, messages
from tests.remote import small_race, use

TOOLS = toolbox()
OPERATOR = "the-operators-own-secret"
SCOPES = {"reader": ["read"], "submitter": ["submit"], "worker": ["work"], "many": ["submit", "work", "measure"]}
LISTS = ["tools/list", "resources/list", "resources/templates/list", "prompts/list", "server/discover"]
READS = ["resources/read", "prompts/get", "completion/complete", "tasks/get", "tasks/update", "tasks/cancel"]
OTHERS = ["initialize", "ping", "tasks/list", "logging/setLevel", "subscriptions/listen", "nobody/knows"]
METHODS = [*["tools/call"] * 5, *LISTS, *READS, *OTHERS]
ERAS = [*[VERSION] * 12, "2025-11-25", "2024-11-05", "1999-01-01", "", None]
CALLERS = [*["operator"] * 5, *SCOPES, *SCOPES, "visitor", "foreign", "stranger", "nobody"]


@contextmanager
def fuzzed(folder, database_url=""):
    """A server with a race, tokens and an authorization server: the client, what each caller holds, and what may stand
    nowhere in an answer."""
    with issuing() as issuer:
        settings = Settings(
            data=folder, database_url=database_url, admin_token=SecretStr(OPERATOR), oauth_issuer=issuer.url,
            oauth_audience=AUDIENCE, rate="", rate_tools="", rate_failures="",
        )  # fmt: skip
        runtime = open_runtime(settings)
        small_race(runtime)
        now = runtime.context().now
        with runtime.store.transaction() as session:
            made = {name: tokens.create(session, name, scopes, now)[0] for name, scopes in SCOPES.items()}
        job = use(runtime, "submit_job", race="cup", recipe={})["jobs"][0]["id"]
        made |= {"visitor": issuer.token(exp=now.timestamp() + 86_400, scope="igla:submit igla:work")}
        foreign = issuer.token("two", aud="https://other.example")
        held = {**made, "operator": OPERATOR, "foreign": "igla_" + "x" * 43, "stranger": foreign, "nobody": None}
        try:
            with TestClient(create_app(runtime), base_url="http://localhost") as client:
                yield client, held, job, [*made.values(), foreign, OPERATOR, str(folder), "Traceback", "sqlalchemy"]
        finally:
            runtime.store.close()


TEXTS = st.text(max_size=30) | st.sampled_from(
    ["", "cup", "\x00", "' OR 1=1 --", "../../etc/passwd", "é" * 40, "a" * 5000, "\ud800"]
)
PLAIN = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | TEXTS
JUNK = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=12
)
OBJECTS = st.dictionaries(TEXTS, JUNK, max_size=4)


def deep(levels):
    """JSON of that many lists in each other."""
    return "[" * levels + "]" * levels


def rarely(draw, one_in):
    """True once in so many times; never in the simplest example."""
    return draw(st.integers(0, one_in - 1)) == one_in - 1


@st.composite
def arguments(draw, tool, job):
    """Some of a tool's arguments, some of them of the right form, now and then one that it does not know."""
    schema = TOOLS[tool].input_schema
    shapes = schema["properties"]
    chosen = draw(st.lists(st.sampled_from(sorted(shapes)), unique=True))
    names = sorted({*chosen, *schema.get("required", ())})
    given = {name: draw(JUNK if rarely(draw, 6) else likely(shapes[name], job)) for name in names}
    if rarely(draw, 10):
        given[draw(TEXTS)] = draw(JUNK)
    return {**given, "wait_seconds": 0} if "wait_seconds" in shapes else given


def likely(shape, job):
    """Values that may well be right."""
    kinds = {shape.get("type"), *(one.get("type") for one in shape.get("anyOf", []))}
    if "enum" in shape:
        return st.sampled_from(shape["enum"])
    if "integer" in kinds or "number" in kinds:
        return st.integers(0, 5)
    if "boolean" in kinds:
        return st.booleans()
    if "string" in kinds:
        return st.sampled_from(["cup", job, "0" * 64, "fence", "x" * 36, "\x00" * 36])
    return st.just({}) | st.just([]) | OBJECTS


@st.composite
def params(draw, method, job):
    """Parameters of a method, right in form or junk."""
    if rarely(draw, 10):
        return draw(JUNK)
    if method == "tools/call":
        name = draw(st.sampled_from(sorted(TOOLS)))
        given = draw(OBJECTS if rarely(draw, 10) else arguments(name, job))
        return {"name": draw(TEXTS) if rarely(draw, 10) else name, "arguments": given}
    if method == "resources/read":
        uris = st.sampled_from(
            [f"job://{job}", "race://cup", "leaderboard://cup", "glossary://fence", "recipe://fields"]
        )
        return {"uri": draw(uris | TEXTS | TEXTS.map(lambda text: f"race://{text}"))}
    if method == "prompts/get":
        name = draw(st.sampled_from(["join_race", "read_the_board", "propose_recipe"]) | TEXTS)
        return {
            "name": name,
            "arguments": draw(st.dictionaries(st.sampled_from(["race", "worker", "field"]) | TEXTS, TEXTS)),
        }
    if method == "completion/complete":
        ref = st.sampled_from(
            [{"type": "ref/prompt", "name": "join_race"}, {"type": "ref/resource", "uri": "job://{id}"}]
        )
        return {"ref": draw(ref | OBJECTS), "argument": {"name": draw(st.just("race") | TEXTS), "value": draw(TEXTS)}}
    if method.startswith("tasks/"):
        return {"taskId": draw(TEXTS | st.just("task_" + "A" * 32)), "inputResponses": draw(OBJECTS)}
    return draw(st.just({}) | OBJECTS | st.builds(lambda text: {"cursor": text}, TEXTS))


@st.composite
def requests(draw, job):
    """One POST to the server: who sends it, its headers, and its body as bytes."""
    who = draw(st.sampled_from(CALLERS))
    method, era = draw(st.sampled_from(METHODS)), draw(st.sampled_from(ERAS))
    given = draw(params(method, job))
    headers = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
    if era is not None:
        headers["MCP-Protocol-Version"] = era
    if era == VERSION:
        headers["Mcp-Method"] = "ping" if rarely(draw, 20) else method
        named = given.get(NAMED.get(method)) if isinstance(given, dict) else None
        if isinstance(named, str) and named.isascii() and named.isprintable() and named.strip() == named:
            headers["Mcp-Name"] = named
        if isinstance(given, dict):
            knows = {"extensions": {EXTENSION: {}}} if draw(st.booleans()) else {}
            meta = {PROTOCOL_VERSION_META_KEY: VERSION, CLIENT_CAPABILITIES_META_KEY: knows}
            given = {**given, "_meta": {} if rarely(draw, 20) else meta}
    if rarely(draw, 10):
        headers["Mcp-Session-Id"] = draw(st.text("0123456789abcdef", min_size=1, max_size=40))
    body = {"jsonrpc": "2.0", "id": draw(JUNK) if rarely(draw, 10) else 1, "method": method, "params": given}
    raw = json.dumps(body).encode()
    if rarely(draw, 20):
        raw = draw(st.sampled_from([raw[:-1], b"\xff\xfe", b"", b"[1,2]", b"null", deep(5000).encode(), raw * 2]))
    return who, headers, raw


def check(client, held, secret, request):
    """Send it and hold the answer to what every answer must be. Gives its status and JSON-RPC code, if any."""
    who, headers, raw = request
    answer = client.post("/mcp", content=raw, headers={**headers, **bearer(held[who])})
    assert answer.status_code < 500, answer.text
    assert not [one for one in secret if one in answer.text or one in str(answer.headers)]
    if who in ("foreign", "stranger", "nobody"):
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
        return answer.status_code, None
    if not answer.content:
        return answer.status_code, None
    last = messages(answer)[-1]
    code = last["error"]["code"] if "error" in last else None
    assert code != -32603, answer.text
    assert "result" in last or last["error"]["message"]
    return answer.status_code, code
