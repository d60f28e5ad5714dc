"""The web process: FastAPI with `POST /api/<tool>`, MCP at `/mcp`, `/healthz` and `/readyz`. It never imports torch."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from mcp.server.transport_security import TransportSecuritySettings

from db import races
from db.tokens import Principal
from errors import InvalidValue, Refusal
from server.artifacts import add_artifacts
from server.auth import Gate, refused
from server.mcp import mcp_server
from server.runtime import Runtime
from server.toolbox import Tool, call, toolbox
from tools import Context


def create_app(runtime: Runtime) -> FastAPI:
    """The web application over an open runtime."""
    tools = toolbox()
    mcp = mcp_server(tools, lambda request: context_of(runtime, request))
    mcp_app = mcp.streamable_http_app(transport_security=security(runtime.settings.hosts))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with mcp.session_manager.run():
            warming = asyncio.create_task(asyncio.to_thread(runtime.corpus, "stdlib"))
            yield
            await asyncio.wait([warming])

    app = FastAPI(title="igla", version="0.1.0", description="Race server for agent-run training.", lifespan=lifespan)
    app.add_middleware(Gate, runtime=runtime)
    app.add_exception_handler(Refusal, refuse)
    for tool in tools.values():
        add_tool(app, runtime, tool)
    add_artifacts(app, runtime)

    @app.get("/healthz", tags=["health"])
    def healthz() -> dict[str, str]:
        """The process lives."""
        return {"status": "ok"}

    @app.get("/readyz", tags=["health"])
    def readyz() -> dict[str, str]:
        """The database answers and is up to date."""
        with runtime.store.reading() as session:
            races.listing(session)
        return {"status": "ready"}

    app.mount("/", mcp_app)
    return app


def add_tool(app: FastAPI, runtime: Runtime, tool: Tool) -> None:
    """`POST /api/<tool>`: the arguments as a JSON object, the result as one."""

    async def endpoint(request: Request) -> Response:
        return JSONResponse(await call(tool, context_of(runtime, request), await body_of(request)))

    schemas = {"requestBody": {"content": {"application/json": {"schema": flat(tool.input_schema)}}, "required": True}}
    app.add_api_route(
        f"/api/{tool.name}",
        endpoint,
        methods=["POST"],
        operation_id=tool.name,
        summary=tool.description.partition("\n")[0],
        description=tool.description,
        tags=[tool.about["toolset"]],
        openapi_extra=schemas,
        responses={200: {"content": {"application/json": {"schema": flat(tool.output_schema)}}}},
    )


def flat(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema with its `$defs` put in place, since OpenAPI resolves references from the document's root."""
    definitions = schema.get("$defs", {})

    def resolved(part: Any) -> Any:
        if isinstance(part, list):
            return [resolved(item) for item in part]
        if not isinstance(part, dict):
            return part
        if "$ref" in part:
            return resolved(definitions[part["$ref"].rsplit("/", 1)[-1]])
        return {key: resolved(value) for key, value in part.items() if key != "$defs"}

    result: dict[str, Any] = resolved(dict(schema))
    return result


async def body_of(request: Request) -> dict[str, Any]:
    """The request's JSON object; an empty body is an empty object."""
    try:
        body = json.loads(await request.body() or b"{}")
    except (ValueError, UnicodeDecodeError, RecursionError):
        raise InvalidValue("The body is not JSON.") from None
    if not isinstance(body, dict):
        raise InvalidValue("The body must be a JSON object with the tool's arguments.")
    return body


def context_of(runtime: Runtime, request: Request | None) -> Context:
    """The context of the request's principal; without a request (stdio) that of the local operator."""
    if request is None:
        return runtime.context()
    principal: Principal = request.scope["igla.principal"]
    return runtime.context(principal.name, principal.scopes)


def security(hosts: list[str]) -> TransportSecuritySettings:
    """MCP's own check of Host and Origin, for the same names as the gate's."""
    names = [form for host in hosts for form in (host, f"{host}:*")]
    origins = [f"{scheme}://{name}" for name in names for scheme in ("http", "https")]
    return TransportSecuritySettings(enable_dns_rebinding_protection=True, allowed_hosts=names, allowed_origins=origins)


async def refuse(request: Request, error: Exception) -> Response:
    """A refusal raised by a route."""
    assert isinstance(error, Refusal)
    return refused(error)
