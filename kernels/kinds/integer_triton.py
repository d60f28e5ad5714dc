"""Integers times a power of two: the Triton form of `kernels.kinds.integer`."""

from collections.abc import Mapping
from typing import Any

import torch
import triton
import triton.language as tl

from kernels.elementwise_triton import load, random_bits, store
from kernels.formats import Format, Switches
from kernels.kinds.integer import held_down, unit


@triton.jit
def whole(t, r, ROUNDING: tl.constexpr):
    """Each t to one of the two integers beside it; t without a fraction stays. r: 24 random bits."""
    a = tl.abs(t)
    low = tl.floor(a)
    rest = a - low
    if ROUNDING == "rne":
        half = low * 0.5
        up = (rest > 0.5) | ((rest == 0.5) & (half != tl.floor(half)))
    elif ROUNDING == "rna":
        up = rest >= 0.5
    elif ROUNDING == "sr":
        up = rest > r.to(t.dtype) * 5.9604644775390625e-08
    else:
        up = rest < 0
    low = tl.where(up, low + 1.0, low)
    return tl.where(t < 0, -low, low)


@triton.jit
def kernel(
    x, y, s, bits, table, elements, offset, seed, step_low, step_high,
    BLOCK: tl.constexpr, TENSORS: tl.constexpr, SCALED: tl.constexpr, GIVEN: tl.constexpr, ALIGNED: tl.constexpr,
    PER: tl.constexpr, UNIT: tl.constexpr, LOW: tl.constexpr, HIGH: tl.constexpr, ROUNDING: tl.constexpr,
    MOST: tl.constexpr,
):  # fmt: skip
    """One block. UNIT: the step between values; PER: 1 / UNIT."""
    given, to, inside, number, scale = load(x, y, s, table, elements, offset, BLOCK, TENSORS, SCALED, ALIGNED)
    r = given
    if ROUNDING == "sr":
        r = random_bits(bits, number, inside, seed, step_low, step_high, BLOCK, GIVEN)
    known = tl.where(given != given, 0.0, given)
    low = tl.full(given.shape, LOW, given.dtype)
    high = tl.full(given.shape, HIGH, given.dtype)
    t = tl.minimum(tl.maximum(known, low * UNIT), high * UNIT) * PER
    code = tl.minimum(tl.maximum(whole(t, r, ROUNDING), low), high)
    found = tl.where(code == 0, 0.0, code * UNIT)
    store(to, tl.where(given != given, given, found), inside, scale, SCALED, MOST)


def constants(format: Format, switches: Switches, carrier: torch.dtype) -> Mapping[str, Any]:
    """What the kernel compiles in."""
    row: Any = format.parameters
    return {
        "PER": float(1 / unit(format)),
        "UNIT": float(unit(format)),
        "LOW": held_down(row["low"], carrier),
        "HIGH": held_down(row["high"], carrier),
        "ROUNDING": switches.rounding,
        "MOST": torch.finfo(carrier).max if switches.overflow == "sat" else 0.0,
    }
