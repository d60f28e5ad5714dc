"""Tracing with OpenTelemetry, by setting: a span for each call of a tool, and one for each chunk that it set going.

A caller's trace goes on: its `traceparent` comes as an HTTP header or, over MCP, in `_meta`. It is kept with the chunk
request, so what an engine does elsewhere and later is part of the same trace. The SDK's own variables, OTEL_*, say
where the spans go. Without the setting nothing of the SDK is imported.
"""

import atexit
import importlib.util
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import Scope
from structlog.contextvars import bind_contextvars

from db.calls import TRACEPARENT, Call
from errors import Refusal
from server.settings import Settings

W3C = TraceContextTextMapPropagator()
NAME = "igla"
Open = tuple[Span, Any, Token[str | None]]
OPEN: ContextVar[tuple[Open, ...]] = ContextVar("open_spans", default=())


class TracingMissing(Refusal):
    """Install the extra `otel` (`pip install -e '.[otel]'`), or start without IGLA_OTEL."""

    code = "tracing_missing"
    status = 503


def configure(process: str, settings: Settings) -> Tracer | None:
    """Set up tracing of this process, once, at its start; None where it is not wanted."""
    if not settings.otel:
        return None
    if any(importlib.util.find_spec(f"opentelemetry.{part}") is None for part in ("sdk", "exporter")):
        raise TracingMissing("IGLA_OTEL is set, and OpenTelemetry's SDK or its exporter is not installed.")
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    given = {} if "OTEL_SERVICE_NAME" in os.environ else {"service.name": f"{NAME}-{process}"}
    provider = TracerProvider(resource=Resource.create({**given, "igla.process": process}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    atexit.register(provider.shutdown)
    return provider.get_tracer(NAME)


class CallTrace:
    """A watch that makes a span of each call, within the caller's trace where it sent one."""

    def __init__(self, tracer: Tracer) -> None:
        self.tracer = tracer

    def begins(self, call: Call) -> None:
        """From here on the span is the present one, also for what the call starts."""
        span = self.tracer.start_span(call.tool, kind=SpanKind.SERVER, attributes=attributes(call))
        bind_contextvars(trace_id=trace.format_trace_id(span.get_span_context().trace_id))
        inside = trace.set_span_in_context(span)
        opened = (span, attach(inside), TRACEPARENT.set(header(inside)))
        OPEN.set((*OPEN.get(), opened))

    def ended(self, call: Call, code: str, seconds: float) -> None:
        """A refusal is an answer; only a defect is an error of ours."""
        *others, (span, token, kept) = OPEN.get()
        OPEN.set(tuple(others))
        TRACEPARENT.reset(kept)
        detach(token)
        span.set_attribute("igla.code", code)
        if code == "internal_error":
            span.set_status(Status(StatusCode.ERROR))
        span.end()


def attributes(call: Call) -> dict[str, str]:
    """What a span says of its call."""
    told = {"tool": call.tool, "request_id": call.request_id, "principal": call.principal, "doorway": call.doorway}
    about = {name.removesuffix("_id"): value for name, value in call.subject.items()}
    return {f"{NAME}.{name}": value for name, value in {**told, **about}.items()}


def header(inside: Context) -> str | None:
    """The `traceparent` of a context, None where no trace is kept."""
    carrier: dict[str, str] = {}
    W3C.inject(carrier, inside)
    return carrier.get("traceparent")


@contextmanager
def chunk_span(tracer: Tracer, traceparent: str | None, **about: str | int | None) -> Iterator[Span]:
    """A span for an engine's work on a chunk: a child of the call that asked for it."""
    parent = W3C.extract({"traceparent": traceparent}) if traceparent else Context()
    told = {f"{NAME}.{name}": value for name, value in about.items() if value is not None}
    with tracer.start_as_current_span("chunk", context=parent, kind=SpanKind.CONSUMER, attributes=told) as span:
        yield span


@contextmanager
def callers_trace(scope: Scope) -> Iterator[None]:
    """What happens inside belongs to the trace that a request's headers name, if they do."""
    carrier = from_headers(scope)
    token = attach(W3C.extract(carrier)) if carrier else None
    try:
        yield
    finally:
        if token is not None:
            detach(token)


def from_headers(scope: Scope) -> Mapping[str, str]:
    """The headers that carry a trace."""
    wanted = {b"traceparent": "traceparent", b"tracestate": "tracestate"}
    return {wanted[name]: value.decode("latin-1") for name, value in scope["headers"] if name in wanted}
