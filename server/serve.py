"""Serving: the web process with its engines, or one MCP client on standard input and output."""

import asyncio
import gc
import socket
import sys
from dataclasses import replace

import structlog
import uvicorn
from fastapi import FastAPI

from db import tokens
from errors import Refusal
from server import logs, tracing
from server.app import create_app, parts
from server.graceful import Server
from server.logs import CallLog, Output
from server.mcp import mcp_server, serve_stdio
from server.metrics import CallMeter, Flushing
from server.runtime import Runtime, open_runtime
from server.settings import Settings
from server.supervisor import Engines
from server.tracing import CallTrace
from server.traffic import Traffic

log = structlog.get_logger()


class TokenNeeded(Refusal):
    """Set IGLA_ADMIN_TOKEN or make a token with `igla token create`, then start again."""

    code = "token_needed"
    status = 403


def serve_all(settings: Settings) -> None:
    """Run the web process until a signal; engines, a scorer, an arena and a clock run beside it and end with it.

    The address is printed on standard error when it answers, which with port 0 is the way to learn it.
    """
    output = logs.configure("web", settings, background=True)
    runtime = observed(open_runtime(settings), output)
    refuse_open_bind(runtime)
    runtime.tracks()  # a track that cannot be read is told now, not to an agent
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.create_server((settings.host, settings.port), family=family) as listening:
        address = f"http://{settings.host}:{listening.getsockname()[1]}"
        gc.freeze()  # what is there now stays: without this, every whole collection holds up the calls for 70 ms
        engines = Engines(
            settings,
            settings.engine_count,
            scorers=settings.scorer_count,
            arenas=arena_count(runtime),
            clocks=settings.clock_count,
            store=runtime.store,
        )
        server = Server(
            web_config(create_app(runtime), settings),
            runtime.draining,
            settings.grace_seconds,
            before=engines.drain,
            wake=lambda: wake(runtime),
        )
        with Flushing(runtime.store), engines:
            print(f"igla serves {address}  (MCP at {address}/mcp)", file=sys.stderr, flush=True)  # noqa: T201
            print(f"connect an agent: igla mcp install claude --url {address}", file=sys.stderr, flush=True)  # noqa: T201
            server.run(sockets=[listening])


def wake(runtime: Runtime) -> None:
    """Let everybody who waits for news of the store look up, for the last time."""
    runtime.store.signals.wake_all()
    runtime.live.close()


def web_config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """How the web process listens. Forwarded headers count only from the proxies that the operator named."""
    trusted = settings.trusted_proxies  # of others, X-Forwarded-* is text that anybody can write
    return uvicorn.Config(
        app,
        http="h11",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=3,
        proxy_headers=bool(trusted),
        forwarded_allow_ips=trusted or None,
    )


def arena_count(runtime: Runtime) -> int:
    """Arena processes to start: none where this system cannot run entries, and then the log says why."""
    wanted = runtime.settings.arena_count
    if wanted and (reason := runtime.no_arena()) is not None:
        log.warning("arena_unavailable", reason=reason)
        return 0
    return wanted


def serve_stdio_client(settings: Settings) -> None:
    """Serve one MCP client on standard streams. Everything else this process says goes to standard error."""
    output = logs.configure("web", settings, background=True)
    runtime = observed(open_runtime(settings), output)
    traffic = Traffic(runtime.store)
    server = mcp_server(parts(replace(runtime, watches=(*runtime.watches, traffic))))
    count, arenas = settings.engine_count, arena_count(runtime)
    engines = Engines(settings, count, output=sys.stderr.buffer, arenas=arenas, store=runtime.store)
    with Flushing(runtime.store), engines, traffic.writing():
        asyncio.run(serve_stdio(server))


def refuse_open_bind(runtime: Runtime) -> None:
    """An address that others can reach needs a token: none is ever made by itself."""
    settings = runtime.settings
    if settings.is_loopback or settings.admin_token is not None or settings.oauth_issuer:
        return
    with runtime.store.reading() as session:
        if not tokens.any_exists(session):
            raise TokenNeeded(f"{settings.host} can be reached from outside and there is no token.")


def observed(runtime: Runtime, output: Output) -> Runtime:
    """The runtime of a process that answers calls: each is told to the log, counted and, if wanted, traced."""
    tracer = tracing.configure("web", runtime.settings)
    traced = () if tracer is None else (CallTrace(tracer),)
    return replace(runtime, watches=(*runtime.watches, *traced, CallLog(output), CallMeter(runtime.store.meters)))
