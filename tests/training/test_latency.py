import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.latency import RECENT, Figures, Latency, nearest_rank


@given(st.lists(st.floats(0, 10), min_size=1, max_size=300), st.floats(0.01, 1.0))
def test_the_nearest_rank_is_a_value_that_the_share_does_not_exceed_and_the_smallest_such(values, share):
    found = nearest_rank(values, share)
    assert found in values
    assert sum(each <= found for each in values) >= share * len(values) - 1e-9
    assert sum(each < found for each in values) < share * len(values)


def test_the_99th_percentile_of_a_hundred_is_the_99th():
    assert nearest_rank(range(1, 101), 0.99) == 99
    assert nearest_rank([7.0], 0.99) == 7.0


def test_figures_tell_mean_worst_and_percentile_of_all_calls():
    latency = Latency()
    assert latency.figures() == Figures(count=0)
    for milliseconds in range(1, 201):
        latency.record(milliseconds / 1000)
    figures = latency.figures()
    assert (figures.count, figures.worst_ms) == (200, pytest.approx(200))
    assert (figures.mean_ms, figures.p99_ms) == (pytest.approx(100.5), pytest.approx(198))


def test_what_is_kept_does_not_grow_and_the_worst_is_not_forgotten():
    latency = Latency()
    for seconds in (9.0, *[1.0] * (2 * RECENT)):
        latency.record(seconds)
    figures = latency.figures()
    assert len(latency.recent) == RECENT
    assert math.isclose(figures.worst_ms, 9000)
    assert figures.p99_ms == 1000
