"""Models that cheat inside the model's code: each lowers its bits per byte or would, and each is caught."""

import math

import pytest
import torch
from torch.nn import functional

from training.model import ByteModel
from training.ngrams import BEGIN
from training.scorer import NotNormalised, SeesTheFuture, score

SEEDS = range(6)


def text_of(length, seed=0):
    return bytes(torch.randint(64, (length,), generator=torch.Generator().manual_seed(seed)).tolist())


def spread(p):
    return (p / p.sum(-1, keepdim=True)).log()


def peeks_at_the_target(ids):
    """Puts its weight on the next id of the row, where there is one."""
    p = torch.full((*ids.shape, 256), 1e-3)
    p[:, :-1].scatter_(-1, ids[:, 1:, None].clamp(max=255), 0.9)
    return spread(p)


def peeks_now_and_then(ids):
    """The same, but only where the last byte was 7."""
    honest = torch.full((*ids.shape, 256), 1 / 256).log()
    return torch.where((ids == 7)[..., None], peeks_at_the_target(ids), honest)


def counts_the_batch(ids):
    """Byte frequencies over all windows of the batch, later ones included."""
    counts = torch.bincount(ids.clamp(max=255).flatten(), minlength=256).float()
    return spread((counts + 0.1).expand(*ids.shape, 256))


def normalises_over_the_batch(ids):
    """Batch normalisation in training mode: each position sees the mean of its column over the rows."""
    p = functional.one_hot(ids.clamp(max=255), 256).float()
    return functional.log_softmax((p - p.mean(0, keepdim=True)) * 3, dim=-1)


def looks_into_the_next_row(ids):
    """The next row's first scored bytes are this row's last ones moved on."""
    p = functional.one_hot(ids.clamp(max=255), 256).float()
    return functional.log_softmax(p + functional.pad(p[1:], (0, 0, 0, 0, 0, 1)), dim=-1)


@pytest.mark.parametrize(
    "cheat",
    [peeks_at_the_target, counts_the_batch, normalises_over_the_batch, looks_into_the_next_row],
)
@pytest.mark.parametrize("mode", [{}, {"documents": [6000, 6000]}], ids=["whole", "documents"])
def test_a_model_that_sees_later_bytes_is_caught_whatever_the_seed(cheat, mode):
    for seed in SEEDS:
        with pytest.raises(SeesTheFuture):
            score(cheat, text_of(12_000), probe_seed=seed, **mode)


def test_a_model_that_peeks_now_and_then_passes_some_scores_and_not_many():
    """One probe of one score proves little about a rare peek; a run is scored often, each time at other places."""

    def caught(seed):
        try:
            score(peeks_now_and_then, text_of(2000), probe_seed=seed)
        except SeesTheFuture:
            return True
        return False

    assert 1 <= sum(caught(seed) for seed in range(80)) <= 20


class Remembers:
    """Keeps what it was given and knows it when it comes again."""

    def __init__(self):
        self.counts = torch.ones(256)

    def __call__(self, ids):
        out = spread(self.counts.expand(*ids.shape, 256))
        self.counts = self.counts + torch.bincount(ids.clamp(max=255).flatten(), minlength=256)
        return out


def test_a_model_that_keeps_something_between_calls_is_caught_whatever_the_seed():
    for seed in SEEDS:
        with pytest.raises(SeesTheFuture):
            score(Remembers(), text_of(12_000), probe_seed=seed)


def test_the_scorer_shows_a_model_no_window_before_it_is_scored():
    seen = []

    class Parrot:
        def __call__(self, ids):
            seen.append({bytes(row[row != BEGIN].tolist()) for row in ids})
            return torch.full((*ids.shape, 256), -math.log(256))

    score(Parrot(), text_of(30_000), probe_seed=4)
    scored = [rows for at, rows in enumerate(seen) if not any(rows & before for before in seen[:at])]
    assert len(scored) == len(seen) - 1


@pytest.mark.parametrize(
    "spoilt", [lambda logp: logp + 0.01, lambda logp: logp * math.nan, lambda logp: logp.clamp(min=-5.0)],
    ids=["too much", "nan", "floor"],
)  # fmt: skip
def test_an_output_that_is_no_distribution_is_caught(spoilt):
    def model(ids):
        sure = functional.one_hot(ids.clamp(max=255), 256) * 6.0
        return spoilt(functional.log_softmax(sure, dim=-1))

    with pytest.raises(NotNormalised):
        score(model, text_of(3000), probe_seed=0)


def test_the_real_model_is_caught_when_its_attention_looks_ahead(small, monkeypatch):
    torch.manual_seed(0)
    model = ByteModel(small())
    with torch.no_grad():
        model.blocks[0].mix.out.weight.normal_()

    def predict(ids):
        return functional.log_softmax(model(ids)[0], dim=-1)

    assert score(predict, text_of(500), probe_seed=0).bpb > 0

    def no_mask(queries, before, window, blocks, like, first=0):
        return like.new_zeros(blocks, queries, before + queries)

    monkeypatch.setattr("training.attention.band", no_mask)
    with pytest.raises(SeesTheFuture):
        score(predict, text_of(500), probe_seed=0)
