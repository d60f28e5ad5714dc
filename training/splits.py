"""Splits: which document is trained on and which is held out. A pure decision; no torch."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence, Set
from itertools import accumulate
from typing import Literal, get_args

from training.overlap import entangled, shared_positions

SPLITS = ("train", "validation", "test")

SMALLEST = 256
"""Bytes below which a document is not held out: there is next to nothing to predict in it."""

LARGEST_SHARE = 4
"""A held-out document takes at most one part in four of its split, so that no single file is the split."""

FIRST_LOOK = 4
"""One n-gram in this many is looked at to pass over, at once, the many documents that share long stretches."""

Part = Literal["train", "any", "heldout"]
PARTS: tuple[Part, ...] = get_args(Part)
"""Where a source allows a document to be: in the train split only, anywhere, or in the held-out ones only."""

Splits = Mapping[str, list[int]]
"""Split -> its documents, as positions in the sequence of all documents."""


def choose(texts: Sequence[bytes], parts: Sequence[Part], wanted: Mapping[str, int]) -> tuple[Splits, Set[int]]:
    """The splits, and the documents that are not held out only because their text occurs in others.

    texts, parts: the documents in an order that no name decides. wanted: held-out split -> bytes. Documents are held
    out whole and in the order given, until a split has at least the bytes that are wanted of it or no document is left.
    A document can be held out if its source allows it, it has SMALLEST bytes or more, it takes at most a
    LARGEST_SHARE-th of its split, and none of its n-grams occurs in another split.
    """
    passed = entangled(texts, one_in=FIRST_LOOK)
    while found := shared(texts, splits := fill(texts, parts, wanted, passed)):
        passed |= found
    return splits, {index for index in passed if places(texts[index], parts[index], wanted)}


def places(text: bytes, part: Part, wanted: Mapping[str, int]) -> list[str]:
    """The held-out splits that a document may be in, as far as its source and its size go."""
    if part == "train" or len(text) < SMALLEST:
        return []
    return [name for name, size in wanted.items() if len(text) * LARGEST_SHARE <= size]


def fill(texts: Sequence[bytes], parts: Sequence[Part], wanted: Mapping[str, int], passed: Set[int]) -> Splits:
    """Put every document into a split, holding out the bytes that are wanted and none of `passed`."""
    splits: dict[str, list[int]] = {name: [] for name in SPLITS}
    room = dict(wanted)
    for index, (text, part) in enumerate(zip(texts, parts, strict=True)):
        open_ = [name for name in places(text, part, wanted) if room[name] > 0 and index not in passed]
        if open_:
            splits[open_[0]].append(index)
            room[open_[0]] -= len(text)
        elif part != "heldout":
            splits["train"].append(index)
    return splits


def shared(texts: Sequence[bytes], splits: Splits) -> set[int]:
    """Held-out documents with an n-gram that occurs in another split; where two of them share, the one in test."""
    train, validation, test = (splits[name] for name in SPLITS)
    return holders(texts, train, [*validation, *test]) | holders(texts, validation, test)


def holders(texts: Sequence[bytes], others: Sequence[int], indexes: Sequence[int]) -> set[int]:
    """Those of the documents `indexes` in which an n-gram begins that occurs in the documents `others`.

    Both are taken as one text, as they are trained on and scored, so an n-gram may reach into the next document.
    """
    ends = list(accumulate(len(texts[index]) for index in indexes))
    positions = shared_positions(joined(texts, others), joined(texts, indexes))
    return {indexes[bisect_right(ends, position)] for position in positions}


def joined(texts: Sequence[bytes], indexes: Sequence[int]) -> bytes:
    """The documents one after the other."""
    return b"".join(texts[index] for index in indexes)
