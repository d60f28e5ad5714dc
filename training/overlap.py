"""Overlap: does held-out text occur in the text that a run trains on? Pure; no torch.

Held-out text that was trained on measures memory, not prediction. The unit is the n-gram of 64 bytes: long enough that
the idioms of a language pass, short enough that a copied paragraph does not.
"""

from collections.abc import Sequence
from functools import cache
from itertools import combinations

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Positions = npt.NDArray[np.intp]

NGRAM = 64
"""Bytes in an n-gram that two splits may not share."""

MULTIPLIER = 0x9E3779B97F4A7C15
"""Base of the hash, odd: it has an inverse modulo 2**64. It is 2**64 over the golden ratio."""

BLOCK = 1 << 15
"""Windows that are hashed at a time; they stay in the cache of one core."""


def overlap(train: bytes, heldout: bytes, n: int = NGRAM) -> int:
    """How many positions of `heldout` begin n bytes that also occur somewhere in `train`. Exact."""
    return len(shared_positions(train, heldout, n))


def shared_positions(train: bytes, heldout: bytes, n: int = NGRAM) -> list[int]:
    """Positions of `heldout`, rising, that begin n bytes which also occur in `train`. Exact.

    n bytes of `train` hold a whole aligned block of half their length wherever they begin. So the aligned blocks are
    looked up first, by hash, among all such stretches of `heldout`, and only what lies around the hits is compared, as
    bytes. A collision of hashes costs time and nothing else.
    """
    assert n > 0, "an n-gram has at least one byte"
    half = (n + 1) // 2
    blocks, stretches = hashes(train, half, half), hashes(heldout, half)
    common = np.sort(stretches)
    common = common[among(common, np.sort(blocks))]
    suspects = {i: heldout[i : i + n] for i in starts(among(stretches, common), half, len(heldout) - n)}
    wanted = set(suspects.values())
    near = starts(among(blocks, common) * half, half, len(train) - n)
    found = {gram for i in near if (gram := train[i : i + n]) in wanted}
    return [i for i, gram in suspects.items() if gram in found]


def shared_positions_slowly(train: bytes, heldout: bytes, n: int = NGRAM) -> list[int]:
    """The definition that `shared_positions` is tested against."""
    grams = {train[i : i + n] for i in range(len(train) - n + 1)}
    return [i for i in range(len(heldout) - n + 1) if heldout[i : i + n] in grams]


def entangled(texts: Sequence[bytes], n: int = NGRAM, one_in: int = 1) -> set[int]:
    """Which of the texts have n bytes in a row that also occur in another of them, judged by one n-gram in `one_in`.

    The n-grams that count are chosen by their hash, so they are the same in all texts. With one_in=1 no text is missed;
    one is named wrongly only where the hashes of two n-grams collide. The low bits of a hash make room for the number
    of its text, so that after sorting, equal hashes of different texts are neighbours.
    """
    bits = len(texts).bit_length()
    owned = (hashes(text, n) >> bits << bits | np.uint64(index) for index, text in enumerate(texts))
    keys = np.concatenate([np.empty(0, np.uint64), *(each[(each >> bits) % one_in == 0] for each in owned)])
    keys.sort()
    differ = keys[1:] ^ keys[:-1]
    meet = np.flatnonzero((differ != 0) & (differ >> bits == 0))
    return set((np.concatenate([keys[meet], keys[meet + 1]]) & ((1 << bits) - 1)).tolist())


def entangled_slowly(texts: Sequence[bytes], n: int = NGRAM) -> set[int]:
    """The definition that `entangled` is tested against."""
    grams = [{text[i : i + n] for i in range(len(text) - n + 1)} for text in texts]
    pairs = combinations(range(len(texts)), 2)
    return {index for one, other in pairs if grams[one] & grams[other] for index in (one, other)}


def hashes(text: bytes, width: int, stride: int = 1) -> Hashes:
    """Hash of every `stride`-th window of `width` bytes: sum of byte_j * MULTIPLIER**(j + 1) modulo 2**64.

    Sums over windows are differences of running sums, divided by the power of MULTIPLIER at which a window begins.
    """
    raw, step = np.frombuffer(text, np.uint8), max(1, BLOCK // stride) * stride
    up = powers(MULTIPLIER, step + width)
    down = powers(pow(MULTIPLIER, -1, 1 << 64), step) * np.uint64(MULTIPLIER)
    found: list[Hashes] = [np.empty(0, np.uint64)]
    for start in range(0, len(raw) - width + 1, step):
        block = raw[start : start + step + width - 1]
        sums = np.zeros(len(block) + 1, np.uint64)
        np.cumsum(block * up[: len(block)], out=sums[1:])
        spans = sums[width::stride] - sums[:-width:stride]
        found.append(spans * down[::stride][: len(spans)])
    return np.concatenate(found)


@cache
def powers(base: int, count: int) -> Hashes:
    """base**1 ... base**count modulo 2**64."""
    return np.cumprod(np.full(count, base, np.uint64), dtype=np.uint64)


def among(values: Hashes, known: Hashes) -> Positions:
    """Positions of the `values` that are in `known`, which is sorted."""
    if not len(known):
        return np.empty(0, np.intp)
    slots = np.searchsorted(known, values)
    slots[slots == len(known)] = 0
    return np.flatnonzero(known[slots] == values)


def starts(hits: Positions, width: int, last: int) -> list[int]:
    """Positions from 0 to `last`, rising, of windows of at most 2 * width bytes that hold `width` bytes at a hit."""
    near = np.zeros(last + 1 + 2 * width, bool)
    for back in range(width):
        near[hits + width - back] = True
    found: list[int] = np.flatnonzero(near[width:-width]).tolist()
    return found
