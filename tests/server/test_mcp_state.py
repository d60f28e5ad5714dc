"""Two web processes of one database behind a proxy that takes turns: no request needs the one that answered before."""

from dataclasses import replace

import mcp_types as types
import pytest
from mcp_types import CLIENT_CAPABILITIES_META_KEY
from starlette.testclient import TestClient

from db import tokens
from errors import InvalidValue
from server.app import create_app, parts
from server.mcp import mcp_server
from server.mcp_parts import Offer
from server.mcp_state import seal_state, state_keys
from server.runtime import open_runtime
from server.settings import Settings
from tests.modern import bearer, messages, modern

QUESTION = types.ElicitRequest(
    params=types.ElicitRequestFormParams(
        message="Sure?",
        requested_schema=types.ElicitRequestedSchema(type="object", properties={"sure": {"type": "boolean"}}),
    )
)
CAN_ANSWER = {CLIENT_CAPABILITIES_META_KEY: {"elicitation": {"form": {}}}}
YES = {"sure": {"action": "accept", "content": {"sure": True}}}


async def ask(ctx, params):
    """A tool that asks first, and knows from the state alone what it has asked."""
    if params.request_state is not None and params.input_responses:
        return types.CallToolResult(content=[types.TextContent(type="text", text=params.request_state)])
    return types.InputRequiredResult(input_requests={"sure": QUESTION}, request_state="asked by the first")


def asking(runtime):
    """igla's server with a tool that asks."""
    definition = types.Tool(name="ask", description="Ask.", input_schema={"type": "object", "properties": {}})
    own = parts(runtime)
    more = replace(own, tools={**own.tools, "ask": Offer(definition=definition, call=ask)})
    server = mcp_server(more)
    seal_state(server, more, state_keys(runtime))
    return create_app(runtime, server)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("replicas")


@pytest.fixture(scope="module")
def replicas(data, secrets):
    """Clients of two web processes, as far as one process can be two: each has a runtime of its own."""
    runtimes = [open_runtime(Settings(data=data)) for _ in range(2)]
    clients = [TestClient(asking(one), base_url="http://localhost") for one in runtimes]
    with clients[0], clients[1]:
        yield clients
    for one in runtimes:
        one.store.close()


@pytest.fixture(scope="module")
def secrets(data):
    runtime = open_runtime(Settings(data=data))
    with runtime.store.transaction() as session:
        made = [tokens.create(session, name, ["read"], runtime.context().now)[0] for name in ("ann", "bob")]
    runtime.store.close()
    return made


def called(client, token, **params):
    answer = modern(client, "tools/call", {"name": "ask", "arguments": {}, "_meta": CAN_ANSWER, **params}, token)
    return messages(answer)[-1]


def test_what_one_replica_asked_another_takes_the_answer_to_and_from_the_same_principal_only(secrets, replicas):
    ann, bob = secrets
    first, second = replicas
    asked = called(first, ann)["result"]
    assert asked["resultType"] == "input_required"
    state = asked["requestState"]
    assert "asked" not in state
    answered = called(second, ann, requestState=state, inputResponses=YES)["result"]
    assert answered["content"][0]["text"] == "asked by the first"
    for token, brought in ((bob, state), (ann, state[:-2] + ("AA" if state[-2:] != "AA" else "BB"))):
        refused = called(second, token, requestState=brought, inputResponses=YES)["error"]
        assert (refused["code"], refused["message"]) == (-32602, "Invalid or expired requestState")


def test_the_operators_keys_come_first_and_short_ones_are_refused(tmp_path):
    runtime = open_runtime(Settings(data=tmp_path))
    (shared,) = state_keys(runtime)
    assert len(shared) == 64 and state_keys(runtime) == [shared]
    given = replace(runtime, settings=Settings(data=tmp_path, state_keys="n" * 32 + ", " + "o" * 32))
    assert state_keys(given) == ["n" * 32, "o" * 32] and "n" * 32 not in repr(given.settings)
    with pytest.raises(InvalidValue, match="IGLA_STATE_KEYS"):
        state_keys(replace(runtime, settings=Settings(data=tmp_path, state_keys="short")))
    runtime.store.close()


def test_a_client_of_the_older_era_is_answered_by_whichever_replica_it_meets(replicas, secrets):
    first, second = replicas
    accept = {"Accept": "application/json, text/event-stream", **bearer(secrets[0])}
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    opened = first.post("/mcp", json=rpc("initialize", hello), headers=accept)
    assert opened.status_code == 200 and "mcp-session-id" not in opened.headers
    later = {**accept, "MCP-Protocol-Version": "2025-11-25"}
    noted = second.post("/mcp", json={"jsonrpc": "2.0", "method": "notifications/initialized"}, headers=later)
    assert noted.status_code == 202
    for client in (first, second, first):
        params = {"name": "glossary", "arguments": {}, "_meta": {"progressToken": 1}}
        answer = messages(client.post("/mcp", json=rpc("tools/call", params), headers=later))
        assert answer[-1]["result"]["isError"] is False


def rpc(method, params):
    return {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}


def test_a_token_is_no_secret_of_one_replica(secrets, replicas):
    for client in replicas:
        assert client.post("/api/glossary", json={}, headers=bearer(secrets[0])).status_code == 200
        assert client.post("/api/glossary", json={}).status_code == 401
