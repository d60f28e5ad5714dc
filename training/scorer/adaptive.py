"""Scoring of a model that learns from the text it is scored on: score first, adapt after, one pass.

The text is read in chunks of `stride` bytes. A chunk is scored with the weights that the chunks before it left; only
when its losses are final does the learner see it. What is carried from chunk to chunk has a fixed size, so a step costs
the same at any place of the text. With a learner that changes nothing the log-probabilities are those of
`score(..., window=OVERLAP + stride)`, one window a call.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

from errors import InvalidValue
from training.ngrams import BEGIN
from training.scorer import Predictor, Score, SeesTheFuture, predicted, total
from training.scorer.windows import OVERLAP, Window, checked, ids_of, plan

PROBED = 3
"""Chunks of a text on which the order of scoring and adapting is probed."""

S = TypeVar("S")


class Learner(Protocol[S]):
    """What adapts. Its state is a value: `adapted` gives a new one and leaves the old as it was."""

    def start(self) -> S:
        """The state before any text."""

    def predictor(self, state: S) -> Predictor:
        """The model as it is in this state."""

    def adapted(self, state: S, ids_1T: Tensor, targets_1T: Tensor, count: int) -> S:
        """The state after it has learned the last `count` targets of a window, all of them scored."""


@dataclass(frozen=True)
class Reading(Generic[S]):
    """Where a text is: its last ids, at most a window of them, int64 [S], and the learner's state."""

    past: Tensor
    learned: S


class Reader(Protocol[S]):
    """What reads a text chunk by chunk. stride: bytes of a chunk after the first."""

    @property
    def stride(self) -> int:
        """Bytes of a chunk after the first, which has OVERLAP more."""

    def start(self) -> Reading[S]:
        """Before any text."""

    def step_one_chunk(self, reading: Reading[S], chunk_N: Tensor) -> tuple[Tensor, Reading[S]]:
        """Score the chunk, then adapt to it -> (-ln p of its bytes, float64 [N]; where the text is then)."""


@dataclass(frozen=True)
class ScoreFirst(Generic[S]):
    """The one reader that scores: it owns the order."""

    learner: Learner[S]
    stride: int

    def start(self) -> Reading[S]:
        """Before any text, nothing learned."""
        return Reading(torch.tensor([BEGIN]), self.learner.start())

    def step_one_chunk(self, reading: Reading[S], chunk_N: Tensor) -> tuple[Tensor, Reading[S]]:
        """Score the chunk, then adapt to it. Raises NotNormalised, InvalidValue (a chunk longer than a window)."""
        window, count = OVERLAP + self.stride, len(chunk_N)
        if not 0 < count <= window:
            raise InvalidValue(f"A chunk has 1 to {window} bytes, got {count}.")
        ids_S = torch.cat([reading.past, chunk_N])[-window - 1 :]
        ids_1T, targets_1T = ids_S[None, :-1], ids_S[None, 1:]
        with torch.inference_mode():
            logp_1TV = predicted(self.learner.predictor(reading.learned), ids_1T)
            nll_N = -logp_1TV[0, -count:].gather(-1, targets_1T[0, -count:, None])[:, 0].double()
        final_N = nll_N.clone()
        learned = self.learner.adapted(reading.learned, ids_1T, targets_1T, count)
        return final_N, Reading(ids_S[-window:], learned)


def score_adaptive(
    reader: Reader[S], text: bytes, *, probe_seed: int, documents: Sequence[int] | None = None, reset: bool = True
) -> Score:
    """Score the whole text, adapting on the way. Raises NotNormalised, SeesTheFuture, InvalidValue.

    documents: as in `score`. reset: whether what was learned in one document is forgotten at the next.
    """
    window = OVERLAP + reader.stride
    checked(text, documents, window, OVERLAP)
    ids_S, random, values, reading = ids_of(text)[1:], torch.Generator().manual_seed(probe_seed), [], reader.start()
    chunks = [chunk_windows(length, reader.stride) for length in documents or [len(text)]]
    probed = set(torch.randint(sum(map(len, chunks)), (PROBED,), generator=random).tolist())
    at = count = 0
    for of_document in chunks:
        reading = reader.start() if reset else Reading(reader.start().past, reading.learned)
        for chunk in of_document:
            chunk_N = ids_S[at + chunk.first : at + chunk.end]
            nll_N, following = reader.step_one_chunk(reading, chunk_N)
            values += nll_N.tolist()
            if count in probed:
                probe_order(reader, reading, chunk_N, nll_N, random)
            reading, count = following, count + 1
        at += of_document[-1].end
    return total(values)


def probe_order(
    reader: Reader[S], reading: Reading[S], chunk_N: Tensor, nll_N: Tensor, random: torch.Generator
) -> None:
    """Read a chunk again, disturbed and as it was; where a loss before the disturbance moves by a bit, SeesTheFuture.

    A reader that adapts to a chunk before it scores it is caught here, and one whose state is no value.
    """
    if nll_N.requires_grad:
        raise SeesTheFuture("A loss is not final: it still carries a gradient.")
    kept = int(torch.randint(1, max(2, len(chunk_N)), (), generator=random))
    other_N = chunk_N.clone()
    other_N[kept:] = (chunk_N[kept:] + torch.randint(1, 256, (len(chunk_N) - kept,), generator=random)) % 256
    for told_N, same in ((other_N, kept), (chunk_N, len(chunk_N))):
        again_N, _ = reader.step_one_chunk(reading, told_N)
        if not torch.equal(again_N[:same], nll_N[:same]):
            raise SeesTheFuture(f"A loss among the first {same} bytes of a chunk moved when it was read again.")


def chunk_windows(length: int, stride: int) -> list[Window]:
    """The windows, one a chunk, in which a text of `length` bytes is read."""
    return plan(length, OVERLAP + stride, OVERLAP)
