import math
import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from training.baseline import COUNTED_AT_ONCE, HIGHEST_ORDER, distribution, gram_counts, witten_bell, witten_bell_slowly

TEXT = st.binary(max_size=60).map(lambda data: bytes(byte % 5 for byte in data))


@given(train=TEXT, text=TEXT.filter(len), order=st.integers(0, 1))
def test_the_fast_form_is_the_definition(train, text, order):
    agree(train, text, order)


@settings(max_examples=12, deadline=None)
@given(train=TEXT, text=TEXT.filter(len))
@example(train=b"abcab", text=b"a")
@example(train=b"a", text=b"abcab")
def test_the_fast_form_of_the_highest_order_is_the_definition(train, text):
    agree(train, text, HIGHEST_ORDER)


def agree(train, text, order):
    fast, slow = witten_bell(train, text, order), witten_bell_slowly(train, text, order)
    assert fast.nll_sum == pytest.approx(slow.nll_sum, rel=1e-12)
    assert fast.byte_count == slow.byte_count == len(text)


@given(train=st.binary(max_size=60) | TEXT, context=st.binary(max_size=2) | st.binary(max_size=2).map(bytes))
def test_the_distribution_sums_to_one_and_excludes_nothing(train, context):
    p = distribution(train, context)
    assert len(p) == 256
    assert math.fsum(p) == pytest.approx(1, abs=1e-12)
    assert min(p) > 0


def test_a_small_case_by_hand():
    uniform = 1 / 256
    after_nothing = (2 + 2 * uniform) / (3 + 2)
    after_a = (1 + 1 * after_nothing) / (1 + 1)
    assert distribution(b"abb", b"")[ord("b")] == after_nothing
    assert distribution(b"abb", b"a")[ord("b")] == after_a
    assert witten_bell(b"abb", b"ab", 1).nll_sum == pytest.approx(
        -math.log((1 + 2 * uniform) / 5) - math.log(after_a), rel=1e-14
    )


@pytest.mark.parametrize("order", [0, 1, 2])
def test_a_model_of_nothing_is_uniform(order):
    assert witten_bell(b"", b"any text", order).bpb == pytest.approx(8, rel=1e-14)


def test_uniform_bytes_score_eight_bits_and_counting_contexts_of_noise_does_not_help():
    random_ = random.Random(1)
    train, text = random_.randbytes(100_000), random_.randbytes(20_000)
    scores = [witten_bell(train, text, order).bpb for order in (0, 1, 2)]
    assert scores[0] == pytest.approx(8, abs=0.005)
    assert min(scores) > 8


def test_a_longer_context_helps_on_text():
    train = b"".join(b"the %d of the %d and the %d\n" % (each, each * 7 % 10, each * each % 10) for each in range(2000))
    scores = [witten_bell(train[:-3000], train[-3000:], order).bpb for order in (0, 1, 2)]
    assert scores[0] > scores[1] > scores[2]


def test_counts_do_not_depend_on_where_the_blocks_end(monkeypatch):
    train = random.Random(3).randbytes(1000)
    whole = gram_counts(train, 1)
    assert len(train) < COUNTED_AT_ONCE
    monkeypatch.setattr("training.baseline.COUNTED_AT_ONCE", 7)
    assert (gram_counts(train, 1) == whole).all()
    assert whole.sum() == 999


def test_a_byte_of_the_text_changes_nothing_before_it():
    train, text = b"abracadabra" * 5, b"abracadabra"
    changed = witten_bell(train, text[:-1] + b"?").nll_sum - witten_bell(train, text[:-1]).nll_sum
    expected = -math.log(distribution(train, text[-3:-1])[ord("?")])
    assert changed == pytest.approx(expected, rel=1e-9)
