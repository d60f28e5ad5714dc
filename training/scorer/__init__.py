"""The scorer: bits per byte of a whole text, computed here and nowhere else.

BPB = sum of -ln p(byte) / (ln 2 x bytes), where the bytes are those of the text. A model is asked for the distribution
of each byte from the bytes before it, in one left-to-right pass; every byte is scored exactly once. Which bytes a model
is shown together says `training.scorer.windows`; models that learn from what was scored: `training.scorer.adaptive`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from errors import Refusal
from training.scorer.windows import OVERLAP, WINDOW, Window, batches, checked, ids_of, inputs, plan, plans, targets

__all__ = ["OVERLAP", "VERSION", "WINDOW", "NotNormalised", "Predictor", "Score", "SeesTheFuture", "plan", "score"]

VERSION = "1"
"""Named beside every score. Any change of this file that can change a bit of a score raises it."""

TOLERANCE = 1e-5
"""How far a distribution's float32 sum may lie from one."""


class NotNormalised(Refusal):
    """The model's output is no distribution over the 256 bytes; normalise it, for instance with log_softmax."""

    code = "not_normalised"
    status = 422


class SeesTheFuture(Refusal):
    """The model's prediction of a byte depends on that byte or a later one; make it causal."""

    code = "sees_the_future"
    status = 422


class Predictor(Protocol):
    """What is scored: ids [B, T], each the byte before a position or BEGIN -> natural log-probabilities [B, T, 256]."""

    def __call__(self, ids_BT: Tensor, /) -> Tensor:
        """Position t sees ids 0..t of its row."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """nll_sum in nats over byte_count bytes; bpb in bits per byte; inf where the model gave a byte no chance."""

    nll_sum: float
    byte_count: int
    bpb: float
    version: str = VERSION


def score(
    model: Predictor,
    text: bytes,
    *,
    probe_seed: int,
    window: int = WINDOW,
    overlap: int = OVERLAP,
    documents: Sequence[int] | None = None,
) -> Score:
    """Score the whole text. Raises NotNormalised, SeesTheFuture, InvalidValue (empty text, impossible windows).

    window, overlap: bytes that the model is given at once, and how many of them at least lie before the first that is
    scored. documents: lengths of the documents that the text consists of; no context crosses from one to the next.
    None: the text is one. probe_seed: draws where the future is disturbed to see whether the past moves.
    """
    checked(text, documents, window, overlap)
    ids_S, random = ids_of(text), torch.Generator().manual_seed(probe_seed)
    every = list(batches(plans(documents or [len(text)], window, overlap)))
    probed = int(torch.randint(len(every), (), generator=random))
    values: list[float] = []
    with torch.inference_mode():
        for index, batch in enumerate(every):
            ids_BT = inputs(ids_S, batch)
            logp_BTV = predicted(model, ids_BT)
            values += losses(logp_BTV, ids_S, batch)
            if index == probed:
                probe(model, ids_BT, logp_BTV, random)
    return total(values)


def total(values: Sequence[float]) -> Score:
    """The score of a text whose bytes cost these nats."""
    nll_sum = math.fsum(values)
    return Score(nll_sum=nll_sum, byte_count=len(values), bpb=nll_sum / (math.log(2) * len(values)))


def losses(logp_BTV: Tensor, ids_S: Tensor, batch: Sequence[Window]) -> list[float]:
    """-ln p of every scored byte of these windows, in order, in float64."""
    nll_BT = -logp_BTV.gather(-1, targets(ids_S, batch)[..., None])[..., 0].double()
    values: list[float] = torch.cat([row[w.first - w.start :] for w, row in zip(batch, nll_BT, strict=True)]).tolist()
    return values


def predicted(model: Predictor, ids_BT: Tensor) -> Tensor:
    """The model's log-probabilities [B, T, 256], checked to be distributions. Raises NotNormalised."""
    logp_BTV = model(ids_BT)
    shape = (*ids_BT.shape, 256)
    if logp_BTV.shape != shape:
        raise NotNormalised(f"Expected log-probabilities of shape {shape}, got {tuple(logp_BTV.shape)}.")
    off = (logp_BTV.exp().sum(-1) - 1).abs().max()
    if not off <= TOLERANCE:
        raise NotNormalised(f"A distribution's sum is {float(off):.3g} away from one.")
    return logp_BTV


def probe(model: Predictor, ids_BT: Tensor, logp_BTV: Tensor, random: torch.Generator) -> None:
    """Ask again for a batch that was scored, disturbed and as it was; where the past moves by a bit, SeesTheFuture.

    In every row all ids after a random position are changed, in a later row from an earlier position on: no prediction
    up to there may move, by its own row or by what a batch shares. Then the same ids must give the same bits: a model
    that keeps something from one call for the next is no function of the bytes before. The probe comes after the
    scoring, so that it shows a model no byte that is still to be scored.
    """
    B, T = ids_BT.shape
    kept_B1 = torch.randint(1, max(2, T), (B, 1), generator=random).sort(dim=0, descending=True).values
    noise_BT = torch.randint(1, 256, (B, T), generator=random)
    late_BT = torch.arange(T) >= kept_B1
    disturbed = predicted(model, torch.where(late_BT, (ids_BT + noise_BT) % 256, ids_BT))
    moved_BT = (disturbed != logp_BTV).any(-1) & ~late_BT
    if moved_BT.any():
        row, position = moved_BT.nonzero()[0].tolist()
        raise SeesTheFuture(f"Later bytes changed the prediction at position {position} of row {row} of a batch.")
    if not torch.equal(predicted(model, ids_BT), logp_BTV):
        raise SeesTheFuture("The same bytes gave another prediction when they were asked for again.")
