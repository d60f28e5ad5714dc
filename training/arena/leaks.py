"""Held-out text in what an entry brings along: any 48 bytes of it that the train text does not have. Pure.

Bytes are compared as differences of neighbours (by xor), so that a text turned by one byte is still found.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.arena.unpack import forms

GRAM = 32
STRIDE = 16
"""One gram in STRIDE bytes is looked for: any run of GRAM + STRIDE - 1 bytes holds one, and one of differences less."""

VARIETY = 5
"""Grams with fewer different bytes stand in any text."""

PIECE = 1 << 22
FACTORS = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93], dtype=np.uint64)


@dataclass(frozen=True, kw_only=True)
class Grams:
    """Sorted hashes of the grams of a text's differences, and where in `text` each begins."""

    text: bytes
    hashes: NDArray[np.uint64]
    places: NDArray[np.int64]


def grams(documents: Sequence[bytes]) -> Grams:
    """What to look for."""
    text, places, begin = b"".join(documents), [], 0
    for document in documents:
        places.append(np.arange(begin, begin + len(document) - GRAM, STRIDE, dtype=np.int64))
        begin += len(document)
    where = np.concatenate(places) if places else np.zeros(0, dtype=np.int64)
    keep = [place for place in where.tolist() if len(set(text[place : place + GRAM])) >= VARIETY]
    where = np.array(keep, dtype=np.int64)
    hashes = hashed(differences(text), where) if len(where) else np.zeros(0, dtype=np.uint64)
    order = np.argsort(hashes)
    return Grams(text=text, hashes=hashes[order], places=where[order])


def leaks(wanted: Grams, data: bytes, train_text: bytes) -> bool:
    """Whether the data holds, in any form, held-out bytes that the train text does not have. Raises TooMuch."""
    return any(
        train_text.find(wanted.text[place : place + GRAM + 1]) < 0
        for form in forms(data)
        for place in met(wanted, form)
    )


def met(wanted: Grams, data: bytes) -> Iterator[int]:
    """Places of held-out grams that stand in the data."""
    if not len(wanted.hashes):
        return
    for begin in range(0, max(len(data) - GRAM, 0), PIECE):
        near = differences(data[begin : begin + PIECE + GRAM])
        here = hashed(near, np.arange(len(near) - GRAM + 1, dtype=np.int64))
        at = np.searchsorted(wanted.hashes, here)
        at[at == len(wanted.hashes)] = 0
        yield from np.unique(wanted.places[at[wanted.hashes[at] == here]]).tolist()


def differences(data: bytes) -> NDArray[np.uint8]:
    """Each byte xor the one before it."""
    numbers = np.frombuffer(data, dtype=np.uint8)
    return numbers[1:] ^ numbers[:-1]


def hashed(numbers: NDArray[np.uint8], places: NDArray[np.int64]) -> NDArray[np.uint64]:
    """A 64-bit hash of the GRAM bytes at each place."""
    padded = np.concatenate([numbers, np.zeros(8, dtype=np.uint8)])
    words = np.lib.stride_tricks.as_strided(padded.view(), shape=(len(numbers), 8), strides=(1, 1))
    eights = np.ascontiguousarray(words).view("<u8")[:, 0]
    total = np.zeros(len(places), dtype=np.uint64)
    for part, factor in enumerate(FACTORS):
        total = (total ^ (total >> np.uint64(29))) + eights[places + 8 * part] * factor
    return total
