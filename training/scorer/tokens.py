"""Bytes of SentencePiece tokens: how much text a token stands for, so that nats a token become bits a byte.

bytes(target | previous) = base_bytes[target] + (has_leading_space[target] and not is_boundary[previous]): the space in
front of a word is counted once, here and not in `base_bytes`, and not where a document starts. This is the rule of
openai/parameter-golf, with two corrections: a space inside a piece counts one byte, not the three of U+2581, and so
does a space that a tokenizer without a piece for it spells as three byte-fallback tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errors import InvalidValue, Refusal

SPACE = "\u2581"
"""What SentencePiece writes for a space."""

SPELT = tuple(f"<0x{byte:02X}>" for byte in SPACE.encode())
"""The three byte-fallback pieces that spell SPACE."""


class TokenizerMissing(Refusal):
    """Install what reads tokenizers: pip install 'igla[tokens]'."""

    code = "tokenizer_missing"
    status = 501


@dataclass(frozen=True, kw_only=True)
class ByteTables:
    """Three tables by token id. spelt_space: ids that spell a space together, where no piece is one; else empty."""

    base_bytes: NDArray[np.int16]
    has_leading_space: NDArray[np.bool_]
    is_boundary: NDArray[np.bool_]
    spelt_space: tuple[int, ...] = ()

    def counts(self, ids: Sequence[int] | NDArray[Any], previous: int | None = None) -> NDArray[np.int64]:
        """Bytes of each token of a text. previous: the token before the first; None: a document starts.

        Raises InvalidValue for an id that the tables do not have.
        """
        target = np.asarray(ids, dtype=np.int64)
        if len(target) and not 0 <= target.min() <= target.max() < len(self.base_bytes):
            raise InvalidValue(f"A token id lies outside [0, {len(self.base_bytes) - 1}].")
        first = True if previous is None else bool(self.is_boundary[previous])
        after_boundary = np.concatenate([[first], self.is_boundary[target[:-1]]])[: len(target)]
        counts = self.base_bytes[target].astype(np.int64)
        counts += self.has_leading_space[target] & ~after_boundary
        for start in self.spelt(target):
            counts[start : start + 3] = 0, 0, not after_boundary[start]
        return counts

    def spelt(self, ids: NDArray[np.int64]) -> list[int]:
        """Where the three ids begin that spell a space."""
        if not self.spelt_space or len(ids) < 3:
            return []
        found = np.lib.stride_tricks.sliding_window_view(ids, 3) == np.asarray(self.spelt_space)
        return [int(start) for start in np.flatnonzero(found.all(-1))]


def load_tables(file: Path, size: int = 0) -> ByteTables:
    """The tables of a SentencePiece `.model` file. size: of the model's vocabulary, where it is the larger one.

    Raises TokenizerMissing, InvalidValue (no such model).
    """
    try:
        from sentencepiece import SentencePieceProcessor
    except ModuleNotFoundError:
        raise TokenizerMissing("The package sentencepiece is not installed.") from None
    if not file.is_file():
        raise InvalidValue(f"There is no file {file.name} with a SentencePiece model.")
    return byte_tables(SentencePieceProcessor(model_file=str(file)), size)


def byte_tables(tokenizer: Any, size: int = 0) -> ByteTables:
    """The tables of a SentencePieceProcessor. Ids without a piece count no byte and are boundaries, as control ids."""
    total = max(tokenizer.vocab_size(), size)
    base, leading, boundary = np.zeros(total, np.int16), np.zeros(total, np.bool_), np.ones(total, np.bool_)
    pieces = [tokenizer.id_to_piece(token) for token in range(tokenizer.vocab_size())]
    for token, piece in enumerate(pieces):
        if tokenizer.is_control(token) or tokenizer.is_unknown(token) or tokenizer.is_unused(token):
            continue
        boundary[token] = False
        if tokenizer.is_byte(token):
            base[token] = 1
            continue
        leading[token] = piece.startswith(SPACE)
        base[token] = len(piece.removeprefix(SPACE).replace(SPACE, " ").encode())
    spelt = () if SPACE in pieces or not set(SPELT) <= set(pieces) else tuple(map(pieces.index, SPELT))
    return ByteTables(base_bytes=base, has_leading_space=leading, is_boundary=boundary, spelt_space=spelt)
