"""Single requests of the newer protocol era over HTTP, as a client writes them."""

import json

from mcp_types import CLIENT_CAPABILITIES_META_KEY, PROTOCOL_VERSION_META_KEY

VERSION = "2026-07-28"
NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri", "tasks/get": "taskId"}
NAMED |= {"tasks/update": "taskId", "tasks/cancel": "taskId"}


def bearer(token):
    return {"Authorization": f"Bearer {token}"} if token else {}


def modern(client, method, params=None, token=None, declared=None, headers=None):
    """The HTTP answer to one request. declared: extensions that the client says it knows."""
    capabilities = {"extensions": declared} if declared else {}
    meta = {PROTOCOL_VERSION_META_KEY: VERSION, CLIENT_CAPABILITIES_META_KEY: capabilities}
    given = {**(params or {}), "_meta": {**meta, **(params or {}).get("_meta", {})}}
    usual = {"MCP-Protocol-Version": VERSION, "Mcp-Method": method, "Accept": "application/json, text/event-stream"}
    if method in NAMED and isinstance(given.get(NAMED[method]), str):
        usual["Mcp-Name"] = given[NAMED[method]]
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": given}
    return client.post("/mcp", json=body, headers={**usual, **bearer(token), **(headers or {})})


def messages(answer):
    """What came back: one message, or those of a stream."""
    if answer.headers["content-type"].startswith("text/event-stream"):
        return [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
    return [answer.json()]
