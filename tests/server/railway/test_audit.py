"""The audit, rule by rule, and over any fleet."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.deploys import WorkerJob
from server.railway.audit import EXIT_CODES, SEVERITY, audit, spoken
from server.railway.fleet import Service
from tests.server.railway.test_plan import ACCOUNT, fleet_of

NOW = datetime(2030, 1, 1, tzinfo=UTC)
NAME = "gate2-final-rng1"


def service(name=NAME, image="igla:1"):
    return Service(
        id=name,
        name=name,
        image=image,
        repo="",
        command="",
        status="SUCCESS",
        deployment="d",
        deployed_at="",
        variables={},
    )


def row(name=NAME, measured=(), state="running", silent=timedelta(0), seed=1):
    return WorkerJob(
        worker=name, race="cup", rung=1, seed=seed, state=state, measured=dict(measured), last_sign=NOW - silent
    )


def line(step, bpb, seed=1):
    return f"cup  rung 1  seed {seed}  attention  step {step} of 90: {bpb} bpb claimed, continue"


def judged(services=None, lines=(), rows=None, target=1.85, needed=3):
    services = (service(),) if services is None else services
    rows = [row()] if rows is None else rows
    fleet = fleet_of(*services)
    return audit(fleet, {NAME: lines}, rows, ACCOUNT, lambda name: "rng" in name, NOW, target=target, needed=needed)


def codes(**given):
    return [one.code for one in judged(**given).findings]


def test_a_fleet_in_order_has_no_finding():
    assert codes(lines=[line(10, "2.0051")], rows=[row(measured={10: 2.0})]) == []
    assert codes(services=(service(), service("igla", image="web"))) == []


def test_d1_a_service_whose_worker_never_had_a_job():
    assert codes(rows=[]) == ["D1"]


def test_d2_a_running_job_whose_service_is_gone():
    assert codes(services=(), rows=[row(), row(state="done", name="other-rng1")]) == ["D2"]


def test_d3_another_value_than_we_measured_at_that_step_of_that_seed():
    (one,) = judged(lines=[line(10, "1.9000")], rows=[row(measured={10: 2.0})]).findings
    assert (one.code, one.severity, one.seen, one.expected) == ("D3", "error", 1.9, 2.0)
    assert codes(lines=[line(20, "1.9"), line(10, "1.9", seed=2)], rows=[row(measured={10: 2.0})]) == []
    assert codes(lines=[line(10, "nan")], rows=[row(measured={10: 2.0})]) == ["D3", "D5"]


def test_d4_a_fallback_corpus_and_next_to_nothing_left():
    said = ["corpus missing, using fallback text", line(10, "0.0002")]
    assert codes(lines=said) == ["D4"]
    assert codes(lines=said[1:]) == []
    assert codes(lines=[said[0], line(10, "2.0")]) == []


def test_d5_a_value_beyond_all_sense():
    assert codes(lines=[line(10, "inf")]) == ["D5"]
    assert codes(lines=[line(10, "1" + "0" * 31)]) == ["D5"]


def test_d6_no_sign_of_life_for_an_hour():
    assert codes(rows=[row(silent=timedelta(minutes=61))]) == ["D6"]
    assert codes(rows=[row(silent=timedelta(minutes=59))]) == []
    assert codes(rows=[row(silent=timedelta(days=1), state="done")]) == []


def test_d7_another_image():
    assert codes(services=(service(image="igla:0"),)) == ["D7"]


@pytest.mark.parametrize(
    ("values", "lines", "verdict"),
    [
        ((1.8, 1.7, 1.6), [], "Gate2Pass"),
        ((1.8, 1.7, 1.85), [], "NotYet"),
        ((1.8, 1.7), [], "NotYet"),
        ((1.8, 1.7, 1.6), [line(10, "1.0")], "Drift"),
    ],
)
def test_the_verdict(values, lines, verdict):
    names = [f"gate2-final-rng{seed}" for seed in range(1, len(values) + 1)]
    rows = [row(name, {10: value}) for name, value in zip(names, values, strict=True)]
    found = judged(services=[service(name) for name in names], rows=rows, lines=lines)
    assert (found.verdict, found.exit_code) == (verdict, {"Drift": 1, "Gate2Pass": 0, "NotYet": 2}[verdict])


texts = st.lists(st.text(max_size=60), max_size=4)
numbers = st.floats(0, 40).map(lambda value: round(value, 4))


@given(texts, st.dictionaries(st.integers(1, 90), numbers, max_size=5), numbers, st.integers(1, 90))
def test_an_error_means_drift_and_nothing_else_does(lines, measured, said, step):
    found = judged(lines=[*lines, line(step, f"{said:.4f}")], rows=[row(measured=measured)])
    assert all(one.severity == SEVERITY[one.code] for one in found.findings)
    assert (found.verdict == "Drift") == any(one.severity == "error" for one in found.findings)
    assert found.exit_code == EXIT_CODES[found.verdict]
    expected = step in measured and not abs(said - measured[step]) <= 0.01
    assert any(one.code == "D3" for one in found.findings) == expected


@given(st.integers(1, 10**6), st.floats(0, 100), st.integers(0, 2**31), st.text(alphabet="abc ()=,", max_size=30))
def test_what_a_worker_prints_is_read_back(step, bpb, seed, recipe):
    said = f"cup  rung 2  seed {seed}  {recipe}  step {step} of {step + 1}: {bpb:.4f} bpb measured, continue"
    (one,) = spoken([said, "something else"])
    assert (one.race, one.rung, one.seed, one.step) == ("cup", 2, seed, step)
    assert math.isclose(one.bpb, bpb, abs_tol=5e-5)
