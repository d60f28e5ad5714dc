"""The scorer: bits per byte of a whole text, computed here and nowhere else.

BPB = sum of -ln p(byte) / (ln 2 x bytes), where the bytes are those of the text. A model is asked for the distribution
of each byte from the bytes before it, in one left-to-right pass; every byte is scored exactly once.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from errors import InvalidValue, Refusal
from training.ngrams import BEGIN

VERSION = "1"
"""Named beside every score. Any change of this file that can change a bit of a score raises it."""

WINDOW = 2048
"""Bytes that a model is given at once."""

OVERLAP = 256
"""Bytes of real left context that a window repeats from the one before it; they are not scored again."""

BATCH = 4
"""Windows in one call of the model."""

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


@dataclass(frozen=True, kw_only=True)
class Window:
    """Positions start..end of the text are given, first..end are scored."""

    start: int
    first: int
    end: int


def score(model: Predictor, text: bytes, *, probe_seed: int) -> Score:
    """Score the whole text. Raises NotNormalised, SeesTheFuture, InvalidValue (empty text).

    probe_seed: draws where in which window the future is disturbed to see whether the past moves.
    """
    if not text:
        raise InvalidValue("An empty text has no bits per byte.")
    ids_S = torch.cat([torch.tensor([BEGIN]), torch.frombuffer(bytearray(text), dtype=torch.uint8).long()])
    windows = plan(len(text))
    with torch.inference_mode():
        probe(model, ids_S, windows, probe_seed)
        nll_sum = math.fsum(nll for batch in batches(windows) for nll in losses(model, ids_S, batch))
    return Score(nll_sum=nll_sum, byte_count=len(text), bpb=nll_sum / (math.log(2) * len(text)))


def plan(length: int, window: int = WINDOW, overlap: int = OVERLAP) -> list[Window]:
    """Windows over a text of `length` bytes: each byte is scored once, and sees all bytes before it or >= `overlap`.

    All windows are equally long; the last one reaches further back instead of being shorter.
    """
    windows = [Window(start=0, first=0, end=min(window, length))]
    while windows[-1].end < length:
        first = windows[-1].end
        end = min(first + window - overlap, length)
        windows.append(Window(start=end - window, first=first, end=end))
    return windows


def batches(windows: list[Window]) -> Iterator[list[Window]]:
    """Groups of at most BATCH windows, in order."""
    return (windows[at : at + BATCH] for at in range(0, len(windows), BATCH))


def losses(model: Predictor, ids_S: Tensor, batch: list[Window]) -> list[float]:
    """-ln p of every scored byte of these windows, in order, in float64. Raises NotNormalised."""
    logp_BTV = predicted(model, torch.stack([ids_S[w.start : w.end] for w in batch]))
    targets_BT = torch.stack([ids_S[w.start + 1 : w.end + 1] for w in batch])
    nll_BT = -logp_BTV.gather(-1, targets_BT[..., None])[..., 0].double()
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


def probe(model: Predictor, ids_S: Tensor, windows: list[Window], seed: int) -> None:
    """Change every id after a random position of a random window: no bit up to there may move, else SeesTheFuture."""
    random = torch.Generator().manual_seed(seed)
    window = windows[int(torch.randint(len(windows), (), generator=random))]
    ids_1T = ids_S[None, window.start : window.end]
    kept = int(torch.randint(1, ids_1T.shape[1] + 1, (), generator=random))
    disturbed_1T = ids_1T.clone()
    noise = torch.randint(1, 256, (1, ids_1T.shape[1] - kept), generator=random)
    disturbed_1T[:, kept:] = (ids_1T[:, kept:] + noise) % 256
    if not torch.equal(predicted(model, ids_1T)[:, :kept], predicted(model, disturbed_1T)[:, :kept]):
        raise SeesTheFuture(f"Later bytes changed a prediction at or before position {kept - 1} of a window.")
