"""Baseline: what counting alone reaches. An n-gram model of bytes, fitted on the train split. numpy, no torch.

A recipe that does not beat it has learnt less than a table of three-byte counts.
"""

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

HIGHEST_ORDER = 2
"""Bytes of context for which all counts fit into memory: 256**3 of them, 128 MiB."""

COUNTED_AT_ONCE = 1 << 22
"""n-grams that are counted at a time."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """What a model needs for a text: nll_sum, the sum of -ln p over its bytes in nats, and their number."""

    nll_sum: float
    byte_count: int

    @property
    def bpb(self) -> float:
        """Bits per byte."""
        return self.nll_sum / (math.log(2) * self.byte_count)


def witten_bell(train: bytes, text: bytes, order: int = HIGHEST_ORDER) -> Score:
    """Score `text`, which is not empty, with the model that `distribution` defines, fitted on `train`.

    A byte's context is the `order` bytes before it, fewer at the start of `text`.
    """
    assert 0 <= order <= HIGHEST_ORDER, "counts of longer contexts do not fit into memory"
    assert text, "bits per byte of nothing"
    p = np.full(len(text), 1 / 256)
    for length, flat in enumerate(counts_up_to(train, min(order, len(text) - 1))):
        counts = flat.reshape(-1, 256)
        total, kinds = counts.sum(axis=1), np.count_nonzero(counts, axis=1)
        seen = grams(text, length)
        context = seen >> 8
        weight = total[context] + kinds[context]
        mixed = (counts.ravel()[seen] + kinds[context] * p[length:]) / np.maximum(weight, 1)
        p[length:] = np.where(weight > 0, mixed, p[length:])
    return Score(nll_sum=float(-np.log(p).sum()), byte_count=len(text))


def distribution(train: bytes, context: bytes) -> list[float]:
    """The model's probabilities of the 256 bytes after `context`: the definition that `witten_bell` is tested against.

    p(c | h) = (n(hc) + T(h) p(c | h')) / (n(h) + T(h)), where n counts, T(h) is how many different bytes were seen
    after h, and h' is h without its first byte; below the empty context lies 1/256. Where h was never seen, h' decides.
    Witten and Bell 1991 (method C), IEEE Trans. Inf. Theory 37(4), in the interpolated form of Chen and Goodman 1998.
    """
    lower = distribution(train, context[1:]) if context else [1 / 256] * 256
    ends = range(len(context), len(train))
    counts = Counter(train[end] for end in ends if train[end - len(context) : end] == context)
    total, kinds = counts.total(), len(counts)
    return [(counts[c] + kinds * p) / (total + kinds) for c, p in enumerate(lower)] if total else lower


def witten_bell_slowly(train: bytes, text: bytes, order: int = HIGHEST_ORDER) -> Score:
    """`witten_bell` as its definition has it."""
    contexts = (text[max(0, i - order) : i] for i in range(len(text)))
    p = [distribution(train, context)[byte] for context, byte in zip(contexts, text, strict=True)]
    return Score(nll_sum=-math.fsum(map(math.log, p)), byte_count=len(text))


def grams(text: bytes, length: int) -> npt.NDArray[np.int64]:
    """(L - length,) each byte with `length` bytes of context before it, as one number, the first byte highest."""
    raw = np.frombuffer(text, np.uint8).astype(np.int64)
    count = len(raw) - length
    return sum(
        (raw[back : back + count] << 8 * (length - back) for back in range(length + 1)), np.zeros(count, np.int64)
    )


def counts_up_to(train: bytes, order: int) -> list[npt.NDArray[np.int64]]:
    """`gram_counts` of 0 to `order` bytes of context, from one pass over the text.

    Every gram but the first of its length is the end of a longer one.
    """
    found = [gram_counts(train, order)]
    for length in reversed(range(order)):
        shorter = found[0].reshape(256, -1).sum(axis=0)
        if len(train) > length:
            shorter[int.from_bytes(train[: length + 1])] += 1
        found.insert(0, shorter)
    return found


def gram_counts(train: bytes, length: int) -> npt.NDArray[np.int64]:
    """(256 ** (length + 1),) how often each number of `grams` occurs."""
    counts = np.zeros(256 ** (length + 1), np.int64)
    for start in range(0, len(train) - length, COUNTED_AT_ONCE):
        counts += np.bincount(grams(train[start : start + COUNTED_AT_ONCE + length], length), minlength=len(counts))
    return counts
