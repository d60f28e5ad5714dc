"""The bare server that `tool_call` compares with: the SDK's low-level server, one token, one indexed SELECT."""

import json
import socket
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


@contextmanager
def bare_serving(folder: Path, token: str) -> Iterator[tuple[str, int, str]]:
    """Start it with a table of 1,000 rows; gives its URL, its process and the id of a row."""
    file, job = folder / "bare.db", str(uuid.uuid4())
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE job (id TEXT PRIMARY KEY, name TEXT, state TEXT, bpb REAL)")
        rows = [(job, "recipe", "queued", None), *((str(uuid.uuid4()), "recipe", "done", 2.0) for _ in range(999))]
        connection.executemany("INSERT INTO job VALUES (?, ?, ?, ?)", rows)
    connection.close()
    command = [sys.executable, __file__, str(file), token]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip(), process.pid, job
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def serve(file: str, token: str) -> None:
    """Serve until a signal."""
    import hmac

    import mcp_types as types
    import uvicorn
    from mcp.server.lowlevel import Server
    from starlette.responses import JSONResponse
    from starlette.types import Receive, Scope, Send

    connection = sqlite3.connect(file, check_same_thread=False)
    shape = {"type": "object", "properties": {"job_id": {"type": "string"}}, "required": ["job_id"]}
    tool = types.Tool(name="job_status", description="Show a job.", input_schema=shape)

    async def list_tools(ctx: Any, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[tool])

    async def call_tool(ctx: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        wanted = (params.arguments or {})["job_id"]
        row = connection.execute("SELECT id, name, state, bpb FROM job WHERE id = ?", (wanted,)).fetchone()
        result = dict(zip(("id", "name", "state", "bpb"), row, strict=True))
        return types.CallToolResult(
            content=[types.TextContent(type="text", text=json.dumps(result))], structured_content=result
        )

    inner = Server("bare", version="1", on_list_tools=list_tools, on_call_tool=call_tool).streamable_http_app()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(given, f"Bearer {token}".encode()):
                await JSONResponse({}, status_code=401)(scope, receive, send)
                return
        await inner(scope, receive, send)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
        uvicorn.Server(uvicorn.Config(app, http="h11", log_level="warning")).run(sockets=[listening])


if __name__ == "__main__":
    serve(*sys.argv[1:])
