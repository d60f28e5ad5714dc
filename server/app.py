"""The web process: FastAPI with `POST /api/<tool>`, MCP at `/mcp`, `/healthz` and `/readyz`. It never imports torch."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from mcp.server.lowlevel import Server
from mcp.server.transport_security import TransportSecuritySettings
from starlette.exceptions import HTTPException

from db import races
from db.redaction import redactor
from errors import InvalidValue, Refusal
from server.artifacts import add_artifacts
from server.auth import Gate, context_of, refused
from server.challenges import add_metadata, challenge_headers, scopes_needed
from server.credentials import credentials_of
from server.edge import Edge
from server.limits import Counter
from server.mcp import mcp_server, parts_of
from server.mcp_parts import Parts
from server.mcp_state import seal_state, state_keys
from server.metrics import Metrics
from server.pages import add_pages
from server.pages.refusals import answer
from server.runtime import Runtime
from server.settings import Settings
from server.toolbox import ScopeMissing, Tool, enabled, may, result_of, toolbox
from server.traffic import Traffic, add_traffic
from server.watching import watching

REFUSAL = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("code", "message", "next_step")},
    "required": ["code", "message", "next_step"],
}
"""JSON Schema of a refusal."""


class UnknownRoute(Refusal):
    """Tools answer to POST /api/<tool>, MCP at /mcp; /openapi.json lists every address."""

    code = "unknown_route"
    status = 404


class WrongMethod(Refusal):
    """Use a method that the header Allow names."""

    code = "wrong_method"
    status = 405


class Defect(Refusal):
    """Tell the operator the X-Request-ID of the answer; the server's log says more under it."""

    code = "internal_error"
    status = 500


def create_app(runtime: Runtime, mcp: Server[dict[str, Any]] | None = None) -> FastAPI:
    """The web application over an open runtime, with igla's MCP server or another."""
    tools = offered(runtime)
    counter, traffic = Counter(runtime.settings), Traffic(runtime.store)
    runtime = watching(runtime, traffic, counter, tools)
    if mcp is None:
        mcp = mcp_server(parts(runtime))
        seal_state(mcp, parts(runtime), state_keys(runtime))
    mcp_app = mcp.streamable_http_app(
        transport_security=security(runtime.settings.hosts), stateless_http=not runtime.settings.legacy_sessions
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with traffic.writing():
            async with mcp.session_manager.run():
                warming = asyncio.create_task(asyncio.to_thread(runtime.corpus, "stdlib"))
                yield
                await asyncio.wait([warming])

    app = FastAPI(
        title="igla",
        version="0.1.0",
        description="Race server for agent-run training.",
        lifespan=lifespan,
        redirect_slashes=False,  # behind a proxy a redirect leads to plain HTTP; the refusal says where to go
        responses={"default": {"description": "A refusal.", "content": {"application/json": {"schema": REFUSAL}}}},
    )
    app.state.traffic = traffic
    credentials = credentials_of(runtime, counter)
    app.add_middleware(Gate, runtime=runtime, credentials=credentials, needs=scopes_needed(tools))
    metrics = Metrics(runtime)
    app.add_middleware(Edge, redact=redactor(runtime.settings.secrets), metrics=metrics, draining=runtime.draining)
    app.add_exception_handler(Refusal, refusing(runtime.settings))
    app.add_exception_handler(HTTPException, no_route)
    app.add_exception_handler(Exception, defect)
    for tool in tools.values():
        add_tool(app, runtime, tool)
    add_artifacts(app, runtime)
    add_pages(app, runtime, credentials)
    add_metadata(app, runtime.settings)
    add_traffic(app, runtime)

    @app.get("/healthz", tags=["health"])
    def healthz() -> dict[str, str]:
        """The process lives."""
        return {"status": "ok"}

    @app.get("/readyz", tags=["health"])
    def readyz() -> dict[str, str]:
        """The database answers and is up to date, and the server is not about to end."""
        runtime.draining.refuse()
        with runtime.store.reading() as session:
            races.listing(session)
        return {"status": "ready"}

    @app.get("/metrics", include_in_schema=False)
    def scraped(request: Request) -> Response:
        """What is counted, in the words of Prometheus."""
        return scrape(metrics, request)

    app.router.routes[:0] = mcp_app.routes  # not mounted: a mount would answer every other path too
    return app


def scrape(metrics: Metrics, request: Request) -> Response:
    """The metrics, for who may read."""
    if not may("read", request.scope["igla.principal"].scopes):
        raise ScopeMissing("/metrics needs the scope read.")
    text, content_type = metrics.answer(request.headers.get("accept", ""))
    return Response(text, media_type=content_type)


def offered(runtime: Runtime) -> dict[str, Tool]:
    """The tools that the operator lets out."""
    return enabled(toolbox(), runtime.settings.toolset_names, runtime.settings.read_only)


def parts(runtime: Runtime) -> Parts:
    """What igla offers over MCP."""
    return parts_of(offered(runtime), lambda request: context_of(runtime, request), unlisted(runtime.settings))


def unlisted(settings: Settings) -> list[str]:
    """Tools that could do nothing here: models need not read of them. They answer with what is missing."""
    return [] if settings.accounts else ["deploy"]


def add_tool(app: FastAPI, runtime: Runtime, tool: Tool) -> None:
    """`POST /api/<tool>`: the arguments as a JSON object, the result as one."""

    async def endpoint(request: Request) -> Response:
        result = await result_of(tool, context_of(runtime, request), await body_of(request))
        return Response(tool.written(result), media_type="application/json")

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


def security(hosts: list[str]) -> TransportSecuritySettings:
    """MCP's own check of Host and Origin, for the same names as the gate's."""
    names = [form for host in hosts for form in (host, f"{host}:*")]
    origins = [f"{scheme}://{name}" for name in names for scheme in ("http", "https")]
    return TransportSecuritySettings(enable_dns_rebinding_protection=True, allowed_hosts=names, allowed_origins=origins)


async def no_route(request: Request, error: Exception) -> Response:
    """An address or a method that nothing answers to; other errors of the framework keep their status."""
    assert isinstance(error, HTTPException)
    kind = {404: UnknownRoute, 405: WrongMethod}.get(error.status_code)
    if kind is None:
        return JSONResponse({"code": "refused", "message": error.detail, "next_step": ""}, error.status_code)
    refusal = kind("Nothing answers to this address." if kind is UnknownRoute else "It takes another method.")
    told = answer(request, refusal, refused(refusal))
    told.headers.update(error.headers or {})
    return told


async def defect(request: Request, error: Exception) -> Response:
    """A mistake of ours: the log has it, the caller gets a code."""
    mistake = Defect("The server made a mistake.")
    told = answer(request, mistake, refused(mistake))
    told.headers["x-request-id"] = request.scope["igla.request_id"]  # this answer is made outside of every shell
    return told


def refusing(settings: Settings) -> Callable[[Request, Exception], Awaitable[Response]]:
    """What answers for a refusal raised by a route."""

    async def refuse(request: Request, error: Exception) -> Response:
        assert isinstance(error, Refusal)
        return answer(request, error, refused(error, challenge_headers(error, request.scope, settings)))

    return refuse
