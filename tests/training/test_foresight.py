from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.foresight import Settings, below, chances, faded_mean, measured, normal_scores, prior, trusted, worths

SETTINGS = Settings()
correlations = st.lists(st.floats(0.02, 0.98), min_size=1, max_size=4).map(trusted)


def worth_of(means, sds, done, phases, known, top=0.1):
    each = (np.array(values, dtype=float) for values in (means, sds, done, phases, np.sqrt(1 - known**2)))
    return worths(*each, top)


def test_the_distribution_function_agrees_with_the_standard_library():
    x = np.linspace(-6, 6, 241)
    expected = [NormalDist().cdf(float(value)) for value in x]
    np.testing.assert_allclose(below(x), expected, atol=1e-7)


def test_scores_keep_the_order_and_are_symmetric():
    scores = normal_scores(np.array([3.0, 1.0, 2.0]))
    assert scores[1] < scores[2] < scores[0]
    assert scores.sum() == pytest.approx(0, abs=0.01)


def test_a_faded_mean_weighs_the_latest_most():
    assert faded_mean([3.0, 0.0], 0.5) == pytest.approx(2.0)
    assert faded_mean([3.0, 0.0], 0.0) == 3.0


def test_a_race_with_a_clean_signal_and_one_with_none_are_told_apart():
    generator = np.random.default_rng(0)
    finals = generator.normal(size=60)
    clean = measured(finals + 0.1 * generator.normal(size=60), finals, 0.25, SETTINGS)
    noise = measured(generator.normal(size=60), finals, 0.25, SETTINGS)
    assert clean > 0.85 > prior(0.25) > 0.25 > noise


@given(st.integers(0, 2), st.floats(0.05, 0.95))
def test_without_complete_runs_the_prior_holds(runs, phase):
    assert measured(np.zeros(runs), np.zeros(runs), phase, SETTINGS) == prior(phase)


@given(st.lists(st.floats(-5, 5), min_size=3, max_size=12), st.floats(0.05, 0.95))
def test_a_measured_correlation_is_one(values, phase):
    found = measured(np.array(values), np.array(values[::-1]), phase, SETTINGS)
    assert -1.0 <= found <= 1.0


@given(st.floats(-3, 3), st.floats(0.01, 1), st.floats(0.1, 0.98))
def test_a_better_run_has_the_better_chance_and_is_worth_more(mean, gap, correlation):
    sds = np.full(2, (1 - correlation**2) ** 0.5)
    means = np.array([mean - gap, mean])
    better, worse = chances(means, sds, 0.1)
    assert better >= worse
    first, second = worth_of(means, sds, [0.25] * 2, [0.25, 0.5], trusted([correlation, correlation]))
    assert first >= second


def test_where_early_values_tell_nothing_a_run_that_has_begun_is_worth_more_than_a_new_one():
    known = trusted([0.02, 0.02])
    new, begun = worth_of([0.0, 0.0], [1.0, 0.9998], [0.0, 0.25], [0.25, 0.5], known)
    assert begun > new == pytest.approx(0.1, rel=0.1)


@given(correlations)
def test_a_look_is_never_worth_less_than_none(known):
    phases = np.linspace(0.2, 0.6, len(known))
    assert worth_of([0.0], [1.0], [0.0], phases, known)[0] >= 0.1 - 1e-6


@given(st.floats(0.05, 0.9), st.floats(0.02, 0.05))
def test_the_more_a_look_tells_the_more_a_new_run_is_worth(correlation, more):
    less, better = (worth_of([0.0], [1.0], [0.0], [0.25], trusted([r]))[0] for r in (correlation, correlation + more))
    assert better >= less - 1e-9
