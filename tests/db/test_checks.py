from dataclasses import dataclass
from math import inf, log, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.checks import Batch, InvalidBpb, InvalidStep, SampleConflict, SampleIn, check_value, sort_out

SANITY = (0.3, 8.0)


@dataclass(frozen=True, kw_only=True)
class Stored:
    bpb: float
    nll_sum: float
    byte_count: int
    provenance: str


def sample(step=1, bpb=2.0, byte_count=100):
    return SampleIn(step=step, bpb=bpb, nll_sum=bpb * log(2) * byte_count, byte_count=byte_count)


def batch(*samples, provenance="measured"):
    return Batch(
        job_id="j", fence=1, samples=samples, effective_digest="a", provenance=provenance, checkpoint=None,
        environment=None, receipt=None, lease_seconds=60,
    )  # fmt: skip


def stored(one, provenance):
    return Stored(bpb=one.bpb, nll_sum=one.nll_sum, byte_count=one.byte_count, provenance=provenance)


@given(st.floats(*SANITY), st.integers(1, 2**40))
def test_every_honest_value_in_the_interval_is_taken(bpb, byte_count):
    check_value(sample(1, bpb, byte_count), SANITY)


@given(st.floats(*SANITY), st.integers(1, 2**40), st.floats(1e-6, 0.5), st.sampled_from([-1, 1]))
def test_a_value_that_is_not_its_own_quotient_is_refused(bpb, byte_count, error, sign):
    honest = sample(1, bpb, byte_count)
    wrong = SampleIn(step=1, bpb=bpb, nll_sum=honest.nll_sum * (1 + sign * error), byte_count=byte_count)
    with pytest.raises(InvalidBpb, match="ln 2"):
        check_value(wrong, SANITY)


@pytest.mark.parametrize(
    ("bpb", "nll_sum", "byte_count", "reason"),
    [
        (nan, 1.0, 1, "not finite"),
        (inf, inf, 1, "not finite"),
        (2.0, nan, 1, "not finite"),
        (-1.0, -log(2), 1, "sanity interval"),
        (0.0, 0.0, 1, "sanity interval"),
        (0.29, 0.29 * log(2), 1, "sanity interval"),
        (8.01, 8.01 * log(2), 1, "sanity interval"),
        (2.0, 2.0, 0, "byte_count"),
        (2.0, 2.0, -5, "byte_count"),
    ],
)
def test_what_cannot_be_bits_per_byte_is_refused_with_the_reason(bpb, nll_sum, byte_count, reason):
    with pytest.raises(InvalidBpb, match=reason):
        check_value(SampleIn(step=1, bpb=bpb, nll_sum=nll_sum, byte_count=byte_count), SANITY)


steps = st.lists(st.integers(1, 30), min_size=1, max_size=10)


@given(steps, st.integers(0, 20))
def test_new_steps_rise_from_the_last_stored_one_to_the_end_or_are_refused(given_steps, last):
    rising = [last, *given_steps] == sorted({last, *given_steps}) and given_steps[-1] <= 25
    repeats = len(given_steps) != len(set(given_steps))
    try:
        found = sort_out(batch(*map(sample, given_steps)), last, 25, {})
    except InvalidStep:
        assert not rising
    else:
        assert rising or repeats
        assert [one.step for one in found.changes] == sorted({*given_steps})
        assert found.duplicates == len(given_steps) - len(set(given_steps))


@given(steps, st.sampled_from(["measured", "claimed"]), st.sampled_from(["measured", "claimed"]), st.booleans())
def test_a_repeated_step_is_a_duplicate_a_conflict_or_a_measured_one_that_takes_over(given_steps, was, now, same):
    there = {step: stored(sample(step), was) for step in given_steps}
    again = [sample(step, 2.0 if same else 2.0000001) for step in sorted(set(given_steps))]
    takes_over = (was, now) == ("claimed", "measured")
    if not same and not takes_over:
        with pytest.raises(SampleConflict):
            sort_out(batch(*again, provenance=now), 30, 30, there)
        return
    found = sort_out(batch(*again, provenance=now), 30, 30, there)
    assert found.new == ()
    assert (len(found.better), found.duplicates) == ((len(again), 0) if takes_over else (0, len(again)))


def test_a_repeat_differs_when_any_of_its_three_numbers_does():
    one = sample(5, 2.0, 100)
    for other in (
        SampleIn(step=5, bpb=one.bpb * (1 + 2**-50), nll_sum=one.nll_sum, byte_count=100),
        SampleIn(step=5, bpb=one.bpb, nll_sum=one.nll_sum * (1 + 2**-50), byte_count=100),
        SampleIn(step=5, bpb=one.bpb, nll_sum=one.nll_sum, byte_count=101),
    ):
        with pytest.raises(SampleConflict):
            sort_out(batch(other), 5, 10, {5: stored(one, "measured")})
