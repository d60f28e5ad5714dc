from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import InvalidValue
from server.budget import RESERVE, Course, Speed, bytes_for, fitted, measuring, parse

RUNGS = ((1, 9), (1, 3), (1, 1))
NINE = Course(recipes=9, seeds=3, eta=3, rungs=RUNGS, chunks=(2, 3, 6))


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("90s", ("seconds", 90)),
        ("3m", ("seconds", 180)),
        ("1.5 h", ("seconds", 5400)),
        ("4MB", ("bytes", 4e6)),
        ("2KiB", ("bytes", 2048)),
        ("12B", ("bytes", 12)),
    ],
)
def test_a_budget_is_a_time_or_an_amount_of_text(text, meaning):
    assert parse(text) == meaning


@pytest.mark.parametrize("text", ["", "3", "m", "-3m", "0s", "3 parsecs", "3mm"])
def test_anything_else_is_refused_with_an_example(text):
    with pytest.raises(InvalidValue, match="such as 3m"):
        parse(text)


def test_a_round_is_a_job_on_each_engine_and_the_last_may_leave_some_idle():
    assert NINE.rounds(engines=1) == [27, 9, 3]
    assert NINE.rounds(engines=2) == [14, 5, 2]
    assert NINE.rounds(engines=100) == [1, 1, 1]


@given(st.floats(200, 1e5), st.floats(1e4, 1e7), st.floats(0.1, 1), st.floats(1e4, 1e7), st.integers(1, 64))
def test_the_planned_race_fits_into_its_time_even_if_the_slowest_win(seconds, train, slower, score, engines):
    speed = Speed(train=train, slowest=train * slower, score=score, chunk_overhead=0.1)
    try:
        budget = bytes_for(seconds, NINE, speed, engines, 65536)
    except InvalidValue:
        return
    first, second, third = NINE.rounds(engines)
    training = first * budget / 9 / train + (second * budget / 3 + third * budget) / speed.slowest
    scoring = (first * 2 + second * 3 + third * 6) * (65536 / score + 0.1)
    assert training + scoring <= seconds * RESERVE * (1 + 1e-9)
    assert len(str(budget).rstrip("0")) <= 2


def test_a_time_too_short_to_score_is_refused():
    with pytest.raises(InvalidValue, match="too short"):
        bytes_for(5, NINE, Speed(train=1e5, slowest=1e5, score=1e4, chunk_overhead=0.1), 2, 65536)


@given(st.floats(10, 1e5), st.floats(1e3, 1e7), st.integers(1, 64))
def test_runs_report_less_often_where_scoring_would_take_more_than_half_of_the_time(seconds, score, engines):
    speed = Speed(train=1e5, slowest=5e4, score=score, chunk_overhead=0.1)
    try:
        budget, chunks = fitted(seconds, NINE, speed, engines, 65536)
    except InvalidValue:
        return
    course = replace(NINE, chunks=chunks)
    assert budget == bytes_for(seconds, course, speed, engines, 65536)
    assert chunks in [(2, 3, 6), (1, 2, 3), (1, 1, 2), (1, 1, 1)]
    assert chunks == (1, 1, 1) or measuring(course, speed, engines, 65536) <= seconds * RESERVE / 2


def test_a_machine_with_time_reports_as_often_as_usual():
    assert fitted(180, NINE, Speed(train=1e5, slowest=5e4, score=1e5, chunk_overhead=0.1), 2, 65536)[1] == (2, 3, 6)
