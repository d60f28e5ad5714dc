import hashlib
import math
from collections import Counter
from dataclasses import dataclass

import pytest
import torch

from errors import InvalidValue
from training.scorer import NotNormalised, SeesTheFuture, score
from training.scorer.adaptive import Reading, ScoreFirst, score_adaptive
from training.scorer.windows import OVERLAP


def text_of(length, seed=0, symbols=256):
    return bytes(torch.randint(symbols, (length,), generator=torch.Generator().manual_seed(seed)).tolist())


def uniform(ids):
    return torch.full((*ids.shape, 256), -math.log(256), dtype=torch.float64)


@dataclass(frozen=True)
class Counts:
    """Predicts every byte by how often it came, all counts one ahead: p(b) = (n_b + 1) / (n + 256)."""

    def start(self):
        return torch.ones(256, dtype=torch.float64)

    def predictor(self, state):
        return lambda ids: (state / state.sum()).log().expand(*ids.shape, 256)

    def adapted(self, state, ids, targets, count):
        return state + torch.bincount(targets[0, -count:], minlength=256)


class Never(Counts):
    """Learns nothing."""

    def adapted(self, state, ids, targets, count):
        return state


def by_hand(text, stride, documents=None, reset=True):
    """Laplace's rule of succession over chunks, counted in plain Python."""
    seen, nats, at = Counter(), 0.0, 0
    for length in documents or [len(text)]:
        seen = Counter() if reset else seen
        document, start = text[at : at + length], 0
        while start < length:
            chunk = document[start : start + stride + (OVERLAP if start == 0 else 0)]
            total = sum(seen.values())
            nats -= sum(math.log((seen[byte] + 1) / (total + 256)) for byte in chunk)
            seen.update(chunk)
            start += len(chunk)
        at += length
    return nats


@pytest.mark.parametrize("length", [1, 300, 2000])
def test_an_adaptive_count_model_scores_what_counting_by_hand_gives(length):
    text = text_of(length, symbols=20)
    result = score_adaptive(ScoreFirst(Counts(), 100), text, probe_seed=0)
    assert result.nll_sum == pytest.approx(by_hand(text, 100), rel=1e-12)
    assert result.byte_count == length


@pytest.mark.parametrize("reset", [True, False])
def test_documents_are_read_each_for_itself(reset):
    text, documents = text_of(2000, symbols=20), [700, 1, 899, 400]
    result = score_adaptive(ScoreFirst(Counts(), 64), text, probe_seed=0, documents=documents, reset=reset)
    assert result.nll_sum == pytest.approx(by_hand(text, 64, documents, reset), rel=1e-12)


def test_a_uniform_model_that_does_not_learn_scores_exactly_eight():
    assert score_adaptive(ScoreFirst(Never(), 50), text_of(1000), probe_seed=0).bpb == 8.0


def test_losses_of_a_chunk_are_final():
    nll, _ = ScoreFirst(Counts(), 50).step_one_chunk(ScoreFirst(Counts(), 50).start(), torch.arange(20))
    assert not nll.requires_grad
    assert nll.dtype == torch.float64


def test_permuting_later_bytes_changes_no_scored_value():
    reader, text = ScoreFirst(Counts(), 50), torch.tensor(list(text_of(1200, symbols=9)))
    shuffled = torch.cat([text[:650], text[650:][torch.randperm(550, generator=torch.Generator().manual_seed(0))]])

    def losses(ids):
        reading, told = reader.start(), []
        for chunk in ids.split(50):
            nll, reading = reader.step_one_chunk(reading, chunk)
            told.append(nll)
        return torch.cat(told)

    assert torch.equal(losses(text)[:650], losses(shuffled)[:650])
    assert not torch.equal(losses(text)[650:], losses(shuffled)[650:])


def test_without_learning_the_model_is_given_what_the_plain_scorer_gives_it():
    def calls(scoring):
        seen = hashlib.sha256()

        def model(ids):
            for row in ids:
                seen.update(row.numpy().tobytes())
            return uniform(ids)

        scoring(model)
        return seen.hexdigest()

    @dataclass(frozen=True)
    class Frozen(Never):
        model: object

        def predictor(self, state):
            return self.model

    text, documents = text_of(3000), [1000, 1300, 700]

    def adaptive(model):
        reader = ScoreFirst(Frozen(model), 200)
        at = 0
        for length in documents:
            reading, ids = reader.start(), torch.tensor(list(text[at : at + length]))
            first, rest = ids[: OVERLAP + 200], ids[OVERLAP + 200 :]
            for chunk in (first, *rest.split(200)):
                if len(chunk):
                    _, reading = reader.step_one_chunk(reading, chunk)
            at += length

    def plain(model):
        from training.scorer.windows import batches, ids_of, inputs, plans

        for batch in batches(plans(documents, OVERLAP + 200, OVERLAP)):
            model(inputs(ids_of(text), batch))

    assert calls(adaptive) == calls(plain)


class AdaptsFirst(ScoreFirst):
    """A harness that learns a chunk before it scores it."""

    def step_one_chunk(self, reading, chunk):
        _, ahead = super().step_one_chunk(reading, chunk)
        nll, _ = super().step_one_chunk(Reading(reading.past, ahead.learned), chunk)
        return nll, ahead


def test_a_harness_that_adapts_before_it_scores_is_caught():
    text = text_of(3000, symbols=5)
    assert AdaptsFirst(Counts(), 100).step_one_chunk(AdaptsFirst(Counts(), 100).start(), torch.zeros(9).long())
    with pytest.raises(SeesTheFuture):
        score_adaptive(AdaptsFirst(Counts(), 100), text, probe_seed=0)


def test_a_learner_that_changes_its_state_in_place_is_caught():
    class InPlace(Counts):
        def adapted(self, state, ids, targets, count):
            return state.add_(torch.bincount(targets[0, -count:], minlength=256))

    with pytest.raises(SeesTheFuture):
        score_adaptive(ScoreFirst(InPlace(), 100), text_of(3000, symbols=5), probe_seed=0)


def test_a_harness_that_picks_the_best_of_two_passes_is_caught():
    class BestOf(ScoreFirst):
        def step_one_chunk(self, reading, chunk):
            before, ahead = super().step_one_chunk(reading, chunk)
            after, _ = super().step_one_chunk(Reading(reading.past, ahead.learned), chunk)
            return torch.minimum(before, after), ahead

    with pytest.raises(SeesTheFuture):
        score_adaptive(BestOf(Counts(), 100), text_of(3000, symbols=5), probe_seed=0)


def test_losses_that_still_carry_a_gradient_are_refused():
    class Open(ScoreFirst):
        def step_one_chunk(self, reading, chunk):
            nll, ahead = super().step_one_chunk(reading, chunk)
            return nll.requires_grad_(), ahead

    with pytest.raises(SeesTheFuture, match="final"):
        score_adaptive(Open(Counts(), 100), text_of(100), probe_seed=0)


def test_a_learner_that_spoils_the_distribution_is_caught():
    class Drifts(Counts):
        def adapted(self, state, ids, targets, count):
            return state * math.nan

    with pytest.raises(NotNormalised):
        score_adaptive(ScoreFirst(Drifts(), 100), text_of(3000), probe_seed=0)


def test_a_chunk_longer_than_a_window_is_refused():
    reader = ScoreFirst(Counts(), 50)
    with pytest.raises(InvalidValue):
        reader.step_one_chunk(reader.start(), torch.zeros(OVERLAP + 51, dtype=torch.long))
    with pytest.raises(InvalidValue):
        score_adaptive(reader, b"", probe_seed=0)


def test_the_adaptive_score_of_a_fixed_model_is_the_plain_one():
    text = text_of(5000, symbols=30)
    fixed = Never().predictor(Never().start())
    assert score_adaptive(ScoreFirst(Never(), 100), text, probe_seed=0) == score(fixed, text, probe_seed=0)
