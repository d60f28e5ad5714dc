"""Floats in base sixteen: the Triton form of `kernels.kinds.hexadecimal`, on integer patterns."""

import struct
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import torch
import triton
import triton.language as tl

from kernels.elementwise_triton import load, random_bits, store
from kernels.formats import Format, Switches
from kernels.kinds.floating_triton import below, carry
from kernels.kinds.hexadecimal import integers, limits


@triton.jit
def kernel(
    x, y, s, bits, table, elements, offset, seed, step_low, step_high,
    BLOCK: tl.constexpr, TENSORS: tl.constexpr, SCALED: tl.constexpr, GIVEN: tl.constexpr, ALIGNED: tl.constexpr,
    P: tl.constexpr, BIAS: tl.constexpr, INTEGER: tl.constexpr, SIGN: tl.constexpr, INFINITY: tl.constexpr,
    SPARE: tl.constexpr, ROUNDING: tl.constexpr, GAP: tl.constexpr, LIMIT: tl.constexpr, SMALLEST: tl.constexpr,
    HALF: tl.constexpr, STEP: tl.constexpr, MOST: tl.constexpr,
):  # fmt: skip
    """One block. SPARE: bits of the carrier that a full fraction has no room for, when its first digit is 8 or more."""
    given, to, inside, number, scale = load(x, y, s, table, elements, offset, BLOCK, TENSORS, SCALED, ALIGNED)
    u = given.to(INTEGER, bitcast=True)
    a = u & (SIGN - 1)
    value = a.to(given.dtype, bitcast=True)
    r = a
    if ROUNDING == "sr":
        r = random_bits(bits, number, inside, seed, step_low, step_high, BLOCK, GIVEN).to(INTEGER)
    tiny = a >> P == 0
    lifted = tl.where(tiny, value, 0.0) * 18446744073709551616.0
    b = tl.where(tiny, lifted.to(INTEGER, bitcast=True), a)
    shift = tl.maximum(SPARE + 3 - (((b >> P) - BIAS) & 3), 0)
    low = b & ((b * 0 + 1 << shift) - 1)
    found = b - low + (carry(low, (b >> shift) & 1, r, shift, ROUNDING) << shift)
    lowered = tl.where(tiny, found.to(given.dtype, bitcast=True), 0.0) * 5.421010862427522e-20
    found = tl.where(tiny, lowered.to(INTEGER, bitcast=True), found)
    if SMALLEST > 0:
        found = tl.where(a < SMALLEST, below(a, value, r, SMALLEST, HALF, GAP, STEP), found)
    found = tl.minimum(found, LIMIT)
    found = tl.where(a > INFINITY, u, (found | (u & -SIGN)).to(INTEGER))
    store(to, found.to(given.dtype, bitcast=True), inside, scale, SCALED, MOST)


def constants(format: Format, switches: Switches, carrier: torch.dtype) -> Mapping[str, Any]:
    """What the kernel compiles in: patterns of the carrier as integers."""
    P, bias, forms = (23, 127, ("<f", "<i")) if carrier == torch.float32 else (52, 1023, ("<d", "<q"))
    digits, _, _ = integers(format)
    smallest, limit = limits(format, carrier)

    def pattern(value: float) -> int:
        found: int = struct.unpack(forms[1], struct.pack(forms[0], value))[0]
        return found

    return {
        "P": P,
        "BIAS": bias,
        "INTEGER": tl.int32 if P == 23 else tl.int64,
        "SIGN": 1 << (31 if P == 23 else 63),
        "INFINITY": pattern(float("inf")),
        "SPARE": P + 1 - 4 * digits,
        "ROUNDING": switches.rounding,
        "GAP": "rtz" if switches.underflow == "ftz" else switches.rounding,
        "LIMIT": pattern(limit),
        "SMALLEST": pattern(smallest),
        "HALF": pattern(float(Fraction(smallest) / 2)),
        "MOST": torch.finfo(carrier).max if switches.overflow == "sat" else 0.0,
        "STEP": smallest * 2.0**-24,
    }
