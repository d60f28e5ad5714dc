"""The host's side of `igla-predict/1`: the entry commits to 256 log-probabilities, then the byte is told.

docs/igla-predict.md is the definition. Rows are checked while the entry computes its next ones: they lie in our memory
already, and nothing that it learns can change them.
"""

import hashlib
import json
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from errors import InvalidValue
from training.arena.console import Failed
from training.arena.wire import Wire

PROTOCOL = b"igla-predict/1"
BLOCK_PROTOCOL = b"igla-predict/1-block"
TOLERANCE = 1e-5
"""How far a row's sum may lie from one: what float32 cannot do better; the scorer of our own models has the same."""

WAVE = struct.Struct("<II")
OPEN = struct.Struct("<I")
LINE = 256


@dataclass(frozen=True, kw_only=True)
class Scored:
    """nll_sum in nats, the correctly rounded sum; rows_digest: SHA-256 of the first rounds' rows, as they came."""

    nll_sum: float
    byte_count: int
    rows_digest: str

    @property
    def bpb(self) -> float:
        """Bits per byte."""
        return self.nll_sum / (math.log(2) * self.byte_count)


class Ledger:
    """What the rows of all rounds add up to."""

    def __init__(self, replayed: int) -> None:
        self.replayed, self.rounds = replayed, 0
        self.losses: list[NDArray[np.float64]] = []
        self.digest = hashlib.sha256()

    def enter(self, rows: NDArray[np.float32], told: NDArray[np.uint8]) -> None:
        """One round: rows [lanes, 256] and the byte of each lane. Raises Failed (not_finite, not_normalised)."""
        check_rows(rows)
        if self.rounds < self.replayed:
            self.digest.update(rows.tobytes())
        self.rounds += 1
        self.losses.append(-rows[np.arange(len(told)), told].astype(np.float64))

    def scored(self) -> Scored:
        """The sum so far."""
        nll_sum = math.fsum(chain.from_iterable(losses.tolist() for losses in self.losses))
        return Scored(nll_sum=nll_sum, byte_count=sum(map(len, self.losses)), rows_digest=self.digest.hexdigest())


def greet(wire: Wire, documents: Sequence[bytes], lanes: int) -> bytes:
    """Say hello; the protocol that the entry chose. Raises Failed (bad_hello, time_limit)."""
    longest = max(map(len, documents), default=0)
    if not longest:
        raise InvalidValue("A held-out text without a byte cannot be predicted.")
    hello = {"protocol": PROTOCOL.decode(), "lanes": min(lanes, sum(map(bool, documents))), "longest": longest}
    wire.send(json.dumps(hello).encode())
    try:
        answer = wire.frame(len(BLOCK_PROTOCOL), patient=True)
    except Failed as failed:
        name = "bad_hello" if failed.name == "wrong_rows" else failed.name
        raise Failed(name, failed.detail) from None
    if answer not in (PROTOCOL, BLOCK_PROTOCOL):
        raise Failed("bad_hello", "It did not answer with the name of a protocol.")
    return answer


def predict(
    wire: Wire, documents: Sequence[bytes], *, lanes: int, replayed: int, stop_after: int | None = None
) -> Scored:
    """Have every byte of every document predicted once. Raises Failed.

    replayed: rounds whose rows go into `rows_digest`; stop_after: rounds after which to leave.
    """
    ledger = Ledger(replayed)
    for wave in waves(documents, lanes):
        wire.send(WAVE.pack(len(wave), len(wave[0])))
        text, still_open = columns(wave)
        rows = np.empty((len(wave), LINE), dtype="<f4")
        for at, lanes_open in enumerate(still_open[:-1]):
            wire.rows(rows[:lanes_open])
            told = text[at, :lanes_open]
            wire.send(OPEN.pack(still_open[at + 1]) + told.tobytes())
            ledger.enter(rows[:lanes_open], told)
            if ledger.rounds == stop_after:
                return ledger.scored()
    wire.send(WAVE.pack(0, 0))
    wire.finish()
    return ledger.scored()


def waves(documents: Sequence[bytes], lanes: int) -> list[list[bytes]]:
    """Documents that are predicted side by side: longest first, so that the open lanes are always the first ones."""
    ordered = sorted((document for document in documents if document), key=len, reverse=True)
    return [ordered[at : at + lanes] for at in range(0, len(ordered), lanes)]


def columns(wave: Sequence[bytes]) -> tuple[NDArray[np.uint8], list[int]]:
    """The bytes as [position, lane], and how many lanes are open at each position and at the end (none)."""
    text = np.zeros((len(wave[0]), len(wave)), dtype=np.uint8)
    for lane, document in enumerate(wave):
        text[: len(document), lane] = np.frombuffer(document, dtype=np.uint8)
    ends = np.array([len(document) for document in reversed(wave)])
    closed = np.searchsorted(ends, np.arange(len(wave[0]) + 1), side="right")
    still_open: list[int] = (len(wave) - closed).tolist()
    return text, still_open


def check_rows(rows: NDArray[np.float32]) -> None:
    """Rows [..., 256] must be distributions. Raises Failed; nothing is ever normalised for the entry.

    exp in float32 is good to 1e-7 of its value, the sum is taken in float64.
    """
    if not np.isfinite(rows).all():
        raise Failed("not_finite", "A log-probability is NaN or infinite.")
    with np.errstate(over="ignore"):
        off = float(np.abs(np.exp(rows).sum(-1, dtype=np.float64) - 1).max())
    if not off <= TOLERANCE:
        raise Failed("not_normalised", f"The probabilities of a row sum to one but for {off:.3g}.")
