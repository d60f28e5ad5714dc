"""The host's side of `igla-predict/1-block`: faster, but the entry sees the block that it predicts.

Now and then a block comes in two versions that differ from some position on, in either order; rows up to there must
be equal to the last bit. That probes causality and does not prove it, so the number stays claimed.
"""

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.arena.console import Failed
from training.arena.protocol import LINE, WAVE, Ledger, Scored, columns, waves
from training.arena.wire import Wire

WIDTH = 64
"""Bytes of a block in each lane."""

PROBED = 0.25
"""Share of the blocks that come in two versions; the first always does."""

BLOCK = struct.Struct("<III")
TRUE = struct.Struct("<I")


def predict_blocks(
    wire: Wire, documents: Sequence[bytes], *, lanes: int, replayed: int, secret: int, stop_after: int | None = None
) -> Scored:
    """As `protocol.predict`, a block at a time. secret: draws the probes; the entry must not know it."""
    ledger, random = Ledger(replayed), np.random.default_rng(secret)
    for wave in waves(documents, lanes):
        wire.send(WAVE.pack(len(wave), len(wave[0])))
        text, still_open = columns(wave)
        for at in range(0, len(text), WIDTH):
            block = np.ascontiguousarray(text[at : at + WIDTH, : still_open[at]].T)
            rows = asked(wire, block, random, probed=at == 0 or random.random() < PROBED)
            for offset in range(block.shape[1]):
                lanes_open = still_open[at + offset]
                ledger.enter(rows[:lanes_open, offset], block[:lanes_open, offset])
            if stop_after is not None and ledger.rounds >= stop_after:
                return ledger.scored()
        wire.send(BLOCK.pack(0, 0, 0))
    wire.send(WAVE.pack(0, 0))
    wire.finish()
    return ledger.scored()


def asked(wire: Wire, block: NDArray[np.uint8], random: np.random.Generator, *, probed: bool) -> NDArray[np.float32]:
    """The rows [lanes, width, 256] of one block. Raises Failed (sees_the_future)."""
    cut = int(random.integers(block.shape[1]))
    versions = [block, disturbed(block, cut, random)] if probed else [block]
    true = int(random.integers(len(versions)))
    versions[0], versions[true] = versions[true], versions[0]
    rows = np.empty((len(versions), *block.shape, LINE), dtype="<f4")
    wire.send(BLOCK.pack(len(versions), *block.shape) + b"".join(version.tobytes() for version in versions))
    wire.rows(rows)
    wire.send(TRUE.pack(true))
    if rows[0, :, : cut + 1].tobytes() != rows[-1, :, : cut + 1].tobytes():
        raise Failed("sees_the_future", "Later bytes of a block changed a prediction before them.")
    chosen: NDArray[np.float32] = rows[true]
    return chosen


def disturbed(block: NDArray[np.uint8], cut: int, random: np.random.Generator) -> NDArray[np.uint8]:
    """The block with every byte from `cut` on changed."""
    other = block.copy()
    other[:, cut:] += random.integers(1, 256, other[:, cut:].shape, dtype=np.uint8)
    return other
