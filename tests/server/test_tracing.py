"""A caller's trace goes through the doorways, the call and the chunk request to the engine."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from starlette.testclient import TestClient

from db.calls import TRACEPARENT, watched
from server import tracing
from server.app import create_app
from server.runtime import open_runtime
from server.settings import Settings
from server.tracing import CallTrace, TracingMissing, from_headers
from tests.modern import modern
from tests.observing import CALL, work_once
from tests.remote import small_race, use

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
FROM_CALLER = f"00-{TRACE}-{PARENT}-01"


@pytest.fixture(scope="module")
def kept():
    return InMemorySpanExporter()


@pytest.fixture(scope="module")
def tracer(kept):
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    return provider.get_tracer("igla")


@pytest.fixture(scope="module")
def runtime(tmp_path_factory, tracer):
    opened = open_runtime(Settings(data=tmp_path_factory.mktemp("tracing"), otel=True))
    yield replace(opened, watches=(CallTrace(tracer),))
    opened.store.close()


@pytest.fixture(scope="module")
def client(runtime):
    with TestClient(create_app(runtime), base_url="http://localhost") as client:
        yield client


@pytest.fixture(autouse=True)
def empty(kept):
    kept.clear()


def spans(kept):
    return {one.name: one for one in kept.get_finished_spans()}


def trace_of(span):
    return f"{span.context.trace_id:032x}"


@pytest.mark.parametrize("doorway", ["http", "mcp", "meta"])
def test_a_chunk_is_a_child_of_the_call_that_asked_for_it(runtime, client, kept, tracer, doorway):
    small_race(runtime, doorway)
    ticket = use(runtime, "claim_job", worker="w", race=doorway)["tickets"][0]
    held = {"job_id": ticket["job_id"], "fence": ticket["fence"], "wait_seconds": 0}
    kept.clear()
    headers = {"X-Request-ID": f"by-{doorway}", **({} if doorway == "meta" else {"traceparent": FROM_CALLER})}
    if doorway == "http":
        client.post("/api/run_chunk", json=held, headers=headers)
    else:
        meta = {"_meta": {"traceparent": FROM_CALLER}} if doorway == "meta" else {}
        answer = modern(client, "tools/call", {"name": "run_chunk", "arguments": held, **meta}, headers=headers)
        assert answer.status_code == 200, answer.text
    work_once(runtime, tracer=tracer)
    found = spans(kept)
    call, chunk = found["run_chunk"], found["chunk"]
    assert trace_of(call) == trace_of(chunk) == TRACE
    assert f"{call.parent.span_id:016x}" == PARENT
    assert chunk.parent.span_id == call.context.span_id
    assert call.attributes["igla.request_id"] == chunk.attributes["igla.request_id"] == f"by-{doorway}"
    assert (call.attributes["igla.code"], chunk.attributes["igla.outcome"]) == ("chunk_running", "done")
    assert call.attributes["igla.job"] == chunk.attributes["igla.job"] == ticket["job_id"]
    assert call.attributes["igla.doorway"] == doorway.replace("meta", "mcp")


def test_without_a_caller_s_trace_each_call_begins_one(client, kept):
    for _ in range(2):
        client.post("/api/glossary", json={})
    first, second = kept.get_finished_spans()
    assert first.parent is second.parent is None
    assert trace_of(first) != trace_of(second)


def fail(error):
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[13]", TRACEPARENT.get())
    raise error


def test_a_defect_is_an_error_and_a_refusal_is_not(kept, tracer):
    for error in (ZeroDivisionError, TracingMissing):
        with pytest.raises(error), watched((CallTrace(tracer),), CALL):
            fail(error)
    assert TRACEPARENT.get() is None
    codes = [(one.attributes["igla.code"], one.status.status_code) for one in kept.get_finished_spans()]
    assert codes == [("internal_error", StatusCode.ERROR), ("tracing_missing", StatusCode.UNSET)]


def test_calls_within_calls_are_children(kept, tracer):
    watch = (CallTrace(tracer),)
    with watched(watch, CALL), watched(watch, replace(CALL, tool="glossary")):
        pass
    inner, outer = kept.get_finished_spans()
    assert (inner.name, inner.parent.span_id) == ("glossary", outer.context.span_id)


@given(st.text(max_size=60))
def test_whatever_stands_in_the_header_no_request_fails_on_it(text):
    scope = {"headers": [(b"traceparent", text.encode("utf-8")), (b"host", b"x")]}
    assert from_headers(scope).keys() == {"traceparent"}
    with tracing.callers_trace(scope):
        pass


def test_it_is_off_unless_asked_for_and_says_what_is_missing(tmp_path, monkeypatch):
    assert tracing.configure("web", Settings(data=tmp_path)) is None
    monkeypatch.setattr(tracing.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(TracingMissing):
        tracing.configure("web", Settings(data=tmp_path, otel=True))
