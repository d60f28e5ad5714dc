import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from errors import InvalidValue
from training.ngrams import BEGIN
from training.scorer import OVERLAP, WINDOW, NotNormalised, SeesTheFuture, plan, score


def text_of(length, seed=0):
    return bytes(torch.randint(256, (length,), generator=torch.Generator().manual_seed(seed)).tolist())


def uniform(ids):
    return torch.full((*ids.shape, 256), -math.log(256), dtype=torch.float64)


def bigram(ids):
    """p = 1/2 for the byte that equals the last one, the rest evenly; uniform after BEGIN."""
    p = torch.full((*ids.shape, 256), 0.5 / 255, dtype=torch.float64)
    p.scatter_(-1, ids.clamp(max=255)[..., None], 0.5)
    p[ids == BEGIN] = 1 / 256
    return p.log()


@given(st.integers(1, 5000), st.integers(2, 60), st.data())
def test_every_byte_is_scored_once_with_real_context(length, window, data):
    overlap = data.draw(st.integers(1, window - 1))
    windows = plan(length, window, overlap)
    assert [at for each in windows for at in range(each.first, each.end)] == list(range(length))
    assert len({each.end - each.start for each in windows}) == 1
    assert all(each.first - each.start >= overlap for each in windows[1:])
    assert windows[0].start == windows[0].first == 0


@pytest.mark.parametrize("length", [1, 7, 1000, WINDOW, WINDOW + 1, 9001])
def test_a_uniform_model_scores_exactly_eight(length):
    result = score(uniform, text_of(length), probe_seed=0)
    assert result.bpb == 8.0
    assert result.byte_count == length


def test_a_bigram_model_scores_what_hand_counting_gives():
    text = b"aab" + b"c" * 3000
    result = score(bigram, text, probe_seed=0)
    repeats, changes = 1 + 2999, 2
    nats = math.log(256) + repeats * math.log(2) + changes * math.log(510)
    assert result.nll_sum == pytest.approx(nats, rel=1e-12)
    assert result.bpb == pytest.approx(nats / math.log(2) / 3003, rel=1e-12)


def test_the_first_byte_counts_and_begin_stands_only_before_it():
    seen = []

    def model(ids):
        seen.append(ids)
        return uniform(ids)

    score(model, text_of(3 * WINDOW), probe_seed=0)
    rows = torch.cat(seen[2:])
    assert rows[0, 0] == BEGIN
    assert (rows == BEGIN).sum() == 1


def test_the_model_is_never_given_the_last_byte_it_predicts():
    given_ids = []

    def model(ids):
        given_ids.append(ids)
        return uniform(ids)

    score(model, b"\x00" * 20 + b"\x07", probe_seed=0)
    assert not (given_ids[0] == 7).any()


@pytest.mark.parametrize("ahead", [1, 5])
def test_a_model_that_peeks_is_caught(ahead):
    def peeks(ids):
        p = torch.full((*ids.shape, 256), 1e-3)
        coming = functional.pad(ids, (0, ahead))[:, ahead:]
        p.scatter_(-1, coming.clamp(max=255)[..., None], 0.745)
        return p.div(p.sum(-1, keepdim=True)).log()

    caught = 0
    for seed in range(20):
        try:
            score(peeks, text_of(3000), probe_seed=seed)
        except SeesTheFuture:
            caught += 1
    assert caught >= 19


def test_a_model_that_uses_the_mean_of_its_window_is_caught():
    def blended(ids):
        mean = functional.one_hot(ids.clamp(max=255), 256).float().mean(1, keepdim=True)
        return ((mean + 1e-3) / (mean + 1e-3).sum(-1, keepdim=True)).log().expand(*ids.shape, 256)

    with pytest.raises(SeesTheFuture):
        score(blended, text_of(3000), probe_seed=0)


@pytest.mark.parametrize("excess", [1e-3, -0.3, math.nan, math.inf])
def test_a_model_without_normalised_distributions_is_caught(excess):
    with pytest.raises(NotNormalised):
        score(lambda ids: uniform(ids) + excess, text_of(3000), probe_seed=0)


def test_one_bad_distribution_among_many_is_caught():
    def model(ids):
        out = uniform(ids)
        out[ids == 3] += 0.01
        return out

    with pytest.raises(NotNormalised):
        score(model, b"\x00" * 4000 + b"\x03" + b"\x00" * 500, probe_seed=0)


def test_the_wrong_number_of_symbols_is_caught():
    with pytest.raises(NotNormalised):
        score(lambda ids: torch.full((*ids.shape, 257), -math.log(257)), text_of(300), probe_seed=0)


def test_a_byte_without_a_chance_costs_infinitely_much():
    def certain(ids):
        return functional.one_hot(torch.zeros_like(ids), 256).double().log()

    assert score(certain, b"\x00\x00\x01", probe_seed=0).bpb == math.inf


def test_context_across_a_window_border_is_used():
    def counts_back(ids):
        """Sure of byte 1 where the id OVERLAP - 1 places before the last one is 2."""
        back = functional.pad(ids, (OVERLAP - 1, 0))[:, : ids.shape[1]]
        p = torch.full((*ids.shape, 256), 1 / 256, dtype=torch.float64)
        p[back == 2] = 0.5 / 255
        p[..., 1] = torch.where(back == 2, 0.5, p[..., 1])
        return p.log()

    text = bytearray(4 * WINDOW)
    for at in range(500, len(text) - OVERLAP, 997):
        text[at], text[at + OVERLAP] = 2, 1
    hits = text.count(1)
    result = score(counts_back, bytes(text), probe_seed=0)
    assert hits >= 3
    assert result.nll_sum == pytest.approx(hits * math.log(2) + (len(text) - hits) * math.log(256), rel=1e-12)


def test_an_empty_text_is_refused():
    with pytest.raises(InvalidValue):
        score(uniform, b"", probe_seed=0)
