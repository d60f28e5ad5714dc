"""Serving: the web process with its engines, or one MCP client on standard input and output."""

import asyncio
import gc
import socket
import sys
from dataclasses import replace

import structlog
import uvicorn

from db import tokens
from errors import Refusal
from server.app import create_app, parts
from server.mcp import mcp_server, serve_stdio
from server.runtime import Runtime, open_runtime
from server.settings import Settings
from server.supervisor import Engines
from server.traffic import Traffic

log = structlog.get_logger()


class TokenNeeded(Refusal):
    """Set IGLA_ADMIN_TOKEN or make a token with `igla token create`, then start again."""

    code = "token_needed"
    status = 403


def serve_all(settings: Settings) -> None:
    """Run the web process until a signal; engines, a scorer and an arena run beside it and end with it.

    The address is printed on standard error when it answers, which with port 0 is the way to learn it.
    """
    log_to_stderr()
    runtime = open_runtime(settings)
    refuse_open_bind(runtime)
    runtime.tracks()  # a track that cannot be read is told now, not to an agent
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.create_server((settings.host, settings.port), family=family) as listening:
        address = f"http://{settings.host}:{listening.getsockname()[1]}"
        trusted = settings.trusted_proxies  # of others, X-Forwarded-* is text that anybody can write
        app = create_app(runtime)
        config = uvicorn.Config(
            app, http="h11", log_level="warning", proxy_headers=bool(trusted),
            forwarded_allow_ips=trusted or None,
        )  # fmt: skip
        server = uvicorn.Server(config)
        app.state.is_ending = lambda: server.should_exit
        gc.freeze()  # what is there now stays: without this, every whole collection holds up the calls for 70 ms
        with Engines(settings, settings.engine_count, scorers=settings.scorer_count, arenas=arena_count(runtime)):
            print(f"igla serves {address}  (MCP at {address}/mcp)", file=sys.stderr, flush=True)  # noqa: T201
            server.run(sockets=[listening])


def arena_count(runtime: Runtime) -> int:
    """Arena processes to start: none where this system cannot run entries, and then the log says why."""
    wanted = runtime.settings.arena_count
    if wanted and (reason := runtime.no_arena()) is not None:
        log.warning("arena_unavailable", reason=reason)
        return 0
    return wanted


def serve_stdio_client(settings: Settings) -> None:
    """Serve one MCP client on standard streams. Everything else this process says goes to standard error."""
    log_to_stderr()
    runtime = open_runtime(settings)
    traffic = Traffic(runtime.store)
    server = mcp_server(parts(replace(runtime, watches=(*runtime.watches, traffic))))
    engines = Engines(settings, settings.engine_count, output=sys.stderr.buffer, arenas=arena_count(runtime))
    with engines, traffic.writing():
        asyncio.run(serve_stdio(server))


def refuse_open_bind(runtime: Runtime) -> None:
    """An address that others can reach needs a token: none is ever made by itself."""
    settings = runtime.settings
    if settings.is_loopback or settings.admin_token is not None or settings.oauth_issuer:
        return
    with runtime.store.reading() as session:
        if not tokens.any_exists(session):
            raise TokenNeeded(f"{settings.host} can be reached from outside and there is no token.")


def log_to_stderr() -> None:
    """Log lines go to standard error: standard output belongs to results and, with stdio, to the protocol."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
