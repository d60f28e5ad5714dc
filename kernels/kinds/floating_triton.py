"""Floats in base two: the Triton form of `kernels.kinds.floating`, on integer patterns.

To nearest even it adds and subtracts a power of two, as the PyTorch form does where that rounds.
"""

import math
import struct
from collections.abc import Mapping
from typing import Any

import torch
import triton
import triton.language as tl

from kernels.elementwise_triton import load, random_bits, store
from kernels.formats import Format, Switches
from kernels.kinds.floating_fast import plan


@triton.jit
def carry(low, odd, r, shift, ROUNDING: tl.constexpr):
    """1 where bits below 2^shift round up, else 0. r: 24 random bits of the width of low."""
    quantum = low * 0 + 1 << shift
    if ROUNDING == "rne":
        return (2 * low + odd > quantum).to(low.dtype)
    elif ROUNDING == "rna":
        return (2 * low >= quantum).to(low.dtype)
    elif ROUNDING == "sr":
        up = tl.maximum(shift - 24, 0)
        down = tl.maximum(24 - shift, 0)
        return (low > ((r << up) >> down)).to(low.dtype)
    else:
        return low * 0


@triton.jit
def below(a, value, r, smallest, half, ROUNDING: tl.constexpr, STEP: tl.constexpr):
    """Patterns a < smallest to zero or smallest. STEP: the smallest value times 2^-24."""
    if ROUNDING == "rne":
        up = a > half
    elif ROUNDING == "rna":
        up = a >= half
    elif ROUNDING == "sr":
        up = tl.where(a < smallest, value, 0.0).to(tl.float64) > r.to(tl.float64) * STEP
    else:
        up = a < 0
    return tl.where(up, smallest, 0).to(a.dtype)


@triton.jit
def few(a, value, r, P: tl.constexpr, MINIMUM: tl.constexpr, SHIFT: tl.constexpr, ROUNDING: tl.constexpr,
        PER: tl.constexpr, QUANTUM: tl.constexpr):  # fmt: skip
    """Patterns of values below the smallest normal one, as a whole number of quanta. PER: 1 / QUANTUM, in float64."""
    field = tl.maximum(a >> P, 1)
    m = (a & ((1 << P) - 1)) | tl.where(a >> P > 0, 1 << P, 0).to(a.dtype)
    if ROUNDING == "sr":
        t = tl.where(a >> P < MINIMUM, value, 0.0).to(tl.float64) * PER
        n = tl.floor(t)
        n += tl.where(t - n > r.to(tl.float64) * 5.9604644775390625e-08, 1.0, 0.0)
    else:
        shift = tl.minimum(SHIFT + MINIMUM - field, P + 2)
        n = m >> shift
        n += carry(m & ((m * 0 + 1 << shift) - 1), n & 1, r, shift, ROUNDING)
    return (n.to(value.dtype) * QUANTUM).to(a.dtype, bitcast=True)


@triton.jit
def kernel(
    x, y, s, bits, table, elements, offset, seed, step_low, step_high,
    BLOCK: tl.constexpr, TENSORS: tl.constexpr, SCALED: tl.constexpr, GIVEN: tl.constexpr, ALIGNED: tl.constexpr,
    P: tl.constexpr, INTEGER: tl.constexpr, SIGN: tl.constexpr, INFINITY: tl.constexpr,
    SHIFT: tl.constexpr, MINIMUM: tl.constexpr, HIGHEST: tl.constexpr,
    MAGIC: tl.constexpr, LIFT: tl.constexpr, ROUNDING: tl.constexpr, FLUSH: tl.constexpr, GAP: tl.constexpr,
    SATURATE: tl.constexpr, BEYOND: tl.constexpr, LIMIT: tl.constexpr, NORMAL: tl.constexpr, SMALLEST: tl.constexpr,
    HALF: tl.constexpr, STEP: tl.constexpr, PER: tl.constexpr, QUANTUM: tl.constexpr, MINUS_ZERO: tl.constexpr,
    MOST: tl.constexpr,
):  # fmt: skip
    """One block; for the constants see `constants`."""
    given, to, inside, number, scale = load(x, y, s, table, elements, offset, BLOCK, TENSORS, SCALED, ALIGNED)
    u = given.to(INTEGER, bitcast=True)
    a = u & (SIGN - 1)
    value = a.to(given.dtype, bitcast=True)
    r = a
    if ROUNDING == "sr":
        r = random_bits(bits, number, inside, seed, step_low, step_high, BLOCK, GIVEN).to(INTEGER)
    if MAGIC:
        clipped = tl.minimum(a, HIGHEST)
        power = (tl.maximum(clipped & INFINITY, MINIMUM << P) + (SHIFT << P)).to(given.dtype, bitcast=True)
        found = ((clipped.to(given.dtype, bitcast=True) + power) - power).to(INTEGER, bitcast=True)
    elif SHIFT <= 0:
        found = a
    else:
        b = a
        if LIFT:
            tiny = a >> P == 0
            lifted = tl.where(tiny, value, 0.0) * 18446744073709551616.0
            b = tl.where(tiny, lifted.to(INTEGER, bitcast=True), a)
        low = b & ((1 << SHIFT) - 1)
        found = b - low + (carry(low, (b >> SHIFT) & 1, r, low * 0 + SHIFT, ROUNDING) << SHIFT)
        if LIFT:
            lowered = tl.where(tiny, found.to(given.dtype, bitcast=True), 0.0) * 5.421010862427522e-20
            found = tl.where(tiny, lowered.to(INTEGER, bitcast=True), found)
        else:
            less = few(a, value, r, P, MINIMUM, SHIFT, ROUNDING, PER, QUANTUM)
            found = tl.where(a >> P < MINIMUM, less, found)
        found = tl.where(a >= INFINITY, a, found)
    if FLUSH:
        found = tl.where(a < NORMAL, 0, found)
    elif GAP != "":
        found = tl.where(a < SMALLEST, below(a, value, r, SMALLEST, HALF, GAP, STEP), found)
    if SATURATE:
        found = tl.minimum(found, LIMIT)
    elif BEYOND > 0:
        end = tl.where(a < INFINITY, LIMIT, BEYOND) if ROUNDING == "rtz" else BEYOND
        found = tl.where(found > LIMIT, end, found)
    sign = u & -SIGN
    if not MINUS_ZERO:
        sign = tl.where(found == 0, 0, sign)
    found = tl.where(a > INFINITY, u, (found | sign).to(INTEGER))
    store(to, found.to(given.dtype, bitcast=True), inside, scale, SCALED, MOST)


def constants(format: Format, switches: Switches, carrier: torch.dtype) -> Mapping[str, Any]:
    """What the kernel compiles in: patterns of the carrier as integers, exponents as the carrier's fields."""
    p = plan(format, carrier)
    g = p.g

    def pattern(value: float) -> int:
        form = "<f<i" if p.P == 23 else "<d<q"
        found: int = struct.unpack(form[2:], struct.pack(form[:2], value))[0]
        return found

    magic = switches.rounding == "rne" and p.magic
    lift = g.emin <= -p.B
    gap = "" if g.bottom == 1 or p.smallest == 0 else switches.rounding
    reach = g.emax <= p.B and g.beyond is not None
    return {
        "P": p.P,
        "INTEGER": tl.int32 if p.P == 23 else tl.int64,
        "SIGN": 1 << (31 if p.P == 23 else 63),
        "INFINITY": pattern(math.inf),
        "SHIFT": p.shift,
        "MINIMUM": g.emin + p.B,
        "HIGHEST": pattern(2.0 ** (g.emax + 1)) if magic else 0,
        "MAGIC": magic,
        "LIFT": lift,
        "ROUNDING": switches.rounding,
        "FLUSH": switches.underflow == "ftz",
        "GAP": "rna" if gap == "rne" and not g.zero_tie else gap,
        "SATURATE": switches.overflow == "sat",
        "BEYOND": pattern(g.beyond) if reach and g.beyond is not None else 0,
        "LIMIT": pattern(p.limit) if p.limit < math.inf else 0,
        "NORMAL": pattern(p.normal),
        "SMALLEST": pattern(p.smallest),
        "HALF": pattern(p.smallest / 2),
        "MOST": torch.finfo(carrier).max if switches.overflow == "sat" else 0.0,
        "STEP": p.smallest * 2.0**-24,
        "PER": 0.0 if lift else 2.0 ** (g.fraction_bits - g.emin),
        "QUANTUM": 0.0 if lift else 2.0 ** (g.emin - g.fraction_bits),
        "MINUS_ZERO": g.minus_zero,
    }
