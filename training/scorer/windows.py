"""Windows of scoring: which bytes a model is given together, and which of them are scored."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import torch
from torch import Tensor

from errors import InvalidValue
from training.ngrams import BEGIN

WINDOW = 2048
"""Bytes that a model is given at once."""

OVERLAP = 256
"""Bytes of real left context that a window repeats from the one before it; they are not scored again."""

BATCH = 4
"""Windows in one call of the model."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """Positions start..end of the text are given, first..end are scored. origin: where its document starts."""

    start: int
    first: int
    end: int
    origin: int = 0


def checked(text: bytes, documents: Sequence[int] | None, window: int, overlap: int) -> None:
    """Raise InvalidValue for a text, documents or windows with which nothing can be scored."""
    if not text:
        raise InvalidValue("An empty text has no bits per byte.")
    if not 0 <= overlap < window:
        raise InvalidValue(f"overlap must lie in [0, window - 1], got overlap {overlap} and window {window}.")
    if documents is not None and (sum(documents) != len(text) or min(documents) < 1):
        raise InvalidValue(f"Documents have at least one byte and {len(text)} together, got {sum(documents)}.")


def plan(length: int, window: int = WINDOW, overlap: int = OVERLAP) -> list[Window]:
    """Windows over a text of `length` bytes: each byte is scored once, and sees all bytes before it or >= `overlap`.

    All windows are equally long; the last one reaches further back instead of being shorter. Sliding by a stride is
    `overlap = window - stride`.
    """
    windows = [Window(start=0, first=0, end=min(window, length))]
    while windows[-1].end < length:
        first = windows[-1].end
        end = min(first + window - overlap, length)
        windows.append(Window(start=end - window, first=first, end=end))
    return windows


def plans(documents: Sequence[int], window: int, overlap: int) -> list[Window]:
    """The windows of documents of these lengths, one after the other; none reaches into another document."""
    starts = accumulate(documents, initial=0)
    return [
        replace(each, start=at + each.start, first=at + each.first, end=at + each.end, origin=at)
        for at, length in zip(starts, documents, strict=False)
        for each in plan(length, window, overlap)
    ]


def batches(windows: Sequence[Window]) -> Iterator[list[Window]]:
    """Groups of at most BATCH windows of one length, in order."""
    group: list[Window] = []
    for each in windows:
        if group and (len(group) == BATCH or each.end - each.start != group[0].end - group[0].start):
            yield group
            group = []
        group.append(each)
    yield group


def ids_of(text: bytes) -> Tensor:
    """BEGIN and then the bytes of the text: int64 [S + 1]; id s stands before byte s."""
    return torch.cat([torch.tensor([BEGIN]), torch.frombuffer(bytearray(text), dtype=torch.uint8).long()])


def inputs(ids_S: Tensor, batch: Sequence[Window]) -> Tensor:
    """What the model is given: the id before each position, BEGIN before the first of a document -> [B, T]."""
    ids_BT = torch.stack([ids_S[w.start : w.end] for w in batch])
    ids_BT[[w.start == w.origin for w in batch], 0] = BEGIN
    return ids_BT


def targets(ids_S: Tensor, batch: Sequence[Window]) -> Tensor:
    """The byte at each position -> [B, T]."""
    return torch.stack([ids_S[w.start + 1 : w.end + 1] for w in batch])
