"""Models whose bits per byte are known: counted by hand here, or fixed by a source of known entropy."""

import math
from collections import Counter, defaultdict

import pytest
import torch

from training.ngrams import BEGIN
from training.scorer import score

ALPHABET = b"abcd"


def markov_text(length, seed):
    """Order 1: after a symbol comes the same one with probability 0.7, each of the other three with 0.1."""
    random = torch.Generator().manual_seed(seed)
    moves = torch.multinomial(torch.tensor([0.7, 0.1, 0.1, 0.1]), length, replacement=True, generator=random)
    return bytes(ALPHABET[at] for at in (moves.cumsum(0) % 4).tolist())


ENTROPY = -(0.7 * math.log2(0.7) + 0.3 * math.log2(0.1))
SPREAD = math.sqrt(0.7 * math.log2(0.7) ** 2 + 0.3 * math.log2(0.1) ** 2 - ENTROPY**2)


def markov(ids):
    """The source itself as a model; the first symbol is known to be uniform over the four, less what others get."""
    index = torch.full((257,), -1)
    index[list(ALPHABET)] = torch.arange(4)
    p = torch.zeros((*ids.shape, 256), dtype=torch.float64)
    at = index[ids]
    for step, chance in enumerate([0.7, 0.1, 0.1, 0.1]):
        p.scatter_(-1, torch.tensor(list(ALPHABET))[(at.clamp(min=0) + step) % 4][..., None], chance)
    p[ids == BEGIN] = 1 / 256
    return p.log()


@pytest.mark.parametrize("mode", [{}, {"window": 300, "overlap": 200}, {"documents": [10_000, 30_000]}], ids=str)
def test_a_source_of_known_entropy_is_met_within_its_interval(mode):
    length = 40_000
    result = score(markov, markov_text(length, 3), probe_seed=0, **mode)
    starts = len(mode.get("documents", [0])) * (8 - ENTROPY) / length
    assert abs(result.bpb - starts - ENTROPY) < 3.3 * SPREAD / math.sqrt(length)


class Order:
    """Counts of what follows k bytes in a training text, a half added to each byte."""

    def __init__(self, k, text):
        self.k, self.counts = k, defaultdict(Counter)
        for at in range(k, len(text)):
            self.counts[text[at - k : at]][text[at]] += 1

    def chance(self, context, byte):
        seen = self.counts.get(context, Counter())
        return (seen[byte] + 0.5) / (sum(seen.values()) + 128)

    def __call__(self, ids):
        rows = [[self.row(row[: at + 1]) for at in range(len(row))] for row in ids.tolist()]
        return torch.tensor(rows, dtype=torch.float64).log()

    def row(self, before):
        context = before[-self.k :] if self.k else []
        if len(context) < self.k or BEGIN in context:
            return [1 / 256] * 256
        return [self.chance(bytes(context), byte) for byte in range(256)]

    def bits(self, text, border):
        """By hand: positions without k bytes behind them in their document cost 8 bits."""
        nats = 0.0
        for at, byte in enumerate(text):
            inside = at % border
            nats -= math.log(self.chance(text[at - self.k : at], byte) if inside >= self.k else 1 / 256)
        return nats / math.log(2) / len(text)


@pytest.mark.parametrize("k", [0, 1, 3])
@pytest.mark.parametrize(
    ("mode", "border"), [({"window": 64, "overlap": 8}, 600), ({"documents": [300, 300]}, 300)], ids=["sliding", "two"]
)
def test_an_order_k_count_model_scores_what_counting_by_hand_gives(k, mode, border):
    model = Order(k, markov_text(3000, 1))
    text = markov_text(600, 2)
    assert score(model, text, probe_seed=0, **mode).bpb == pytest.approx(model.bits(text, border), rel=1e-12)
