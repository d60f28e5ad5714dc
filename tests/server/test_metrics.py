"""What `/metrics` answers, read with Prometheus' own parsers, and to whom."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import parser
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from starlette.testclient import TestClient

from db import tokens
from db.meters import KINDS, Meters, bucket
from kernels import fallbacks
from server import metrics
from server.app import create_app
from server.logs import silent
from server.metrics import CallMeter, Metrics, histogram
from server.runtime import open_runtime
from server.serve import observed
from server.settings import Settings
from tests.observing import CALL, work_once
from tests.remote import small_race, use
from tests.serving import ROOT

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@pytest.fixture(scope="module")
def runtime(tmp_path_factory):
    settings = Settings(data=tmp_path_factory.mktemp("metrics"), metrics_token="scrape-me")
    opened = observed(open_runtime(settings), silent())
    yield opened
    opened.store.close()


@pytest.fixture(scope="module")
def client(runtime):
    with TestClient(create_app(runtime), base_url="http://localhost") as client:
        yield client


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(metrics, "KEPT_SECONDS", -1.0)


def scraped(client, headers=None):
    """Samples by name and labels, the text being what a strict parser takes."""
    answer = client.get("/metrics", headers=headers or {})
    assert answer.status_code == 200, answer.text
    read = (
        parse_openmetrics if "openmetrics" in answer.headers["content-type"] else parser.text_string_to_metric_families
    )
    families = list(read(answer.text))
    return families, {
        (one.name, *sorted(one.labels.items())): one.value for family in families for one in family.samples
    }


def test_a_chunk_of_a_race_is_seen_in_every_number(runtime, client):
    small_race(runtime, chunks=3)
    ticket = use(runtime, "claim_job", worker="w")["tickets"][0]
    held = {"job_id": ticket["job_id"], "fence": ticket["fence"]}
    client.post("/api/run_chunk", json={**held, "wait_seconds": 0})
    fallbacks.note("quantize", "no_triton")
    work_once(runtime)
    client.post("/api/job_status", json={"job_id": "0" * 36})
    _, found = scraped(client)
    assert found["igla_jobs", ("race", "cup"), ("state", "running")] == 1
    assert found["igla_jobs", ("race", "cup"), ("state", "queued")] == 0
    assert found["igla_chunk_requests", ("state", "leased")] == 0
    assert found["igla_samples_stored_total", ("provenance", "measured")] == 1
    assert found["igla_chunk_seconds_count", ("outcome", "done")] == 1
    assert found["igla_chunk_seconds_sum", ("outcome", "done")] > 0
    assert found["igla_kernel_fallbacks_total", ("kernel", "quantize"), ("reason", "no_triton")] == 1
    assert found["igla_tool_call_seconds_count", ("code", "ok"), ("tool", "claim_job")] == 1
    assert found["igla_tool_call_seconds_count", ("code", "chunk_running"), ("tool", "run_chunk")] == 1
    assert found["igla_tool_call_seconds_count", ("code", "unknown_name"), ("tool", "job_status")] == 1
    assert found["igla_job_wait_seconds_count",] == 1
    assert [value for key, value in found.items() if key[0] == "igla_build_info"] == [1]
    assert found["igla_processes", ("kind", "agent")] == 1


def test_the_names_keep_to_the_conventions_and_both_formats_say_the_same(client):
    families, plain = scraped(client)
    strict, again = scraped(client, {"Accept": OPENMETRICS})
    assert plain == again
    assert {family.name for family in families} == {family.name for family in strict}
    for family in families:
        assert family.name.startswith("igla_")
        assert family.documentation
        assert not family.name.endswith(("_total", "_count", "_bucket", "_sum"))
        if family.type == "counter":
            assert all(one.name == f"{family.name}_total" for one in family.samples)
        if family.type == "histogram":
            assert family.name.endswith("_seconds")
    assert {f"igla_{name}" for name in KINDS} <= {family.name for family in families}


def test_two_replicas_answer_the_same_and_count_nothing_twice(runtime, client):
    another = observed(open_runtime(runtime.settings), silent())
    with TestClient(create_app(another), base_url="http://localhost") as elsewhere:
        before = scraped(client)[1]
        client.post("/api/glossary", json={})
        elsewhere.post("/api/glossary", json={})
        elsewhere.post("/api/glossary", json={})
        scraped(elsewhere)
        here, there = scraped(client)[1], scraped(elsewhere)[1]
    another.store.close()
    key = ("igla_tool_call_seconds_count", ("code", "ok"), ("tool", "glossary"))
    assert here[key] == there[key] == before.get(key, 0) + 3


def test_an_answer_is_given_again_for_some_seconds(runtime, client, monkeypatch):
    monkeypatch.setattr(metrics, "KEPT_SECONDS", 60.0)
    remembering = Metrics(runtime)
    first = remembering.answer("")
    client.post("/api/glossary", json={})
    assert remembering.answer("") is not None
    assert remembering.answer("") == first
    monkeypatch.setattr(metrics, "KEPT_SECONDS", -1.0)
    assert remembering.answer("") != first


@given(st.lists(st.floats(0, 1e5), max_size=30))
def test_a_histogram_s_buckets_count_all_below_their_end(times):
    name = "chunk_seconds"
    counted = Meters()
    for seconds in times:
        counted.observe(name, seconds, outcome="done")
    rows = [(dict(labels), value) for (_, labels), value in counted.taken().items()]
    samples = {one.labels.get("le", one.name): one.value for one in histogram(name, KINDS[name], rows).samples}
    for end in map(repr, KINDS[name].buckets):
        assert samples.get(end, 0) == sum(seconds <= float(end) for seconds in times)
    assert samples.get("+Inf", 0) == samples.get(f"igla_{name}_count", 0) == len(times)
    assert {bucket(KINDS[name].buckets, one) for one in times} <= samples.keys()


def test_a_call_is_counted_under_the_code_it_ended_with():
    watch = CallMeter(Meters())
    watch.ended(CALL, "lease_lost", 0.2)
    assert ("tool_call_seconds", (("tool", "job_status"), ("code", "lease_lost"), ("le", "0.25"))) in watch.meters.new


def test_who_may_scrape(runtime, client):
    with runtime.store.transaction() as session:
        secret, _ = tokens.create(session, "prometheus", ["read"], runtime.context().now, None)
    with TestClient(create_app(runtime), base_url="http://localhost") as closed:
        answers = {
            given: closed.get("/metrics", headers={"Authorization": f"Bearer {given}"} if given else {}).status_code
            for given in ("", "wrong", "scrape-me", "scrape-mee", secret)
        }
        assert answers == {"": 401, "wrong": 401, "scrape-me": 200, "scrape-mee": 401, secret: 200}
        beyond = closed.post("/api/glossary", json={}, headers={"Authorization": "Bearer scrape-me"})
        assert beyond.status_code == 401
        assert "x-request-id" in closed.get("/metrics", headers={"Authorization": "Bearer scrape-me"}).headers


def test_the_page_and_the_alerts_name_what_there_is_and_all_of_it(client):
    families, _ = scraped(client, {"Authorization": "Bearer scrape-me"})  # the test before has closed this to others
    shown = {f"{one.name}_total" if one.type == "counter" else one.name for one in families}
    page, alerts = ((ROOT / "docs" / name).read_text() for name in ("observability.md", "alerts.yml"))
    named = {re.sub("_(count|bucket|sum)$", "", name) for name in re.findall(r"\bigla_[a-z_]+\b", alerts)}
    assert named <= shown
    assert set(re.findall(r"`(igla_[a-z_]+)`", page)) == shown
