"""Posits: the Triton form of `kernels.kinds.posit`, on integer patterns."""

from collections.abc import Mapping
from typing import Any

import torch
import triton
import triton.language as tl

from kernels.bit_strings import LAYOUTS, pattern
from kernels.elementwise_triton import load, random_bits, store
from kernels.formats import Format, Switches
from kernels.kinds.posit import largest


@triton.jit
def cut(u, drop, odd, tail, r, carrier: tl.constexpr, ROUNDING: tl.constexpr):
    """`kernels.bit_strings.cut`: positive strings with their last `drop` bits rounded away. r: 24 random bits."""
    some = drop > 0
    drop = tl.maximum(drop, 1)
    one = u * 0 + 1
    rest = tail - ((tail >> drop) << drop)
    if ROUNDING == "rne":
        up = rest + odd > (one << (drop - 1))
    elif ROUNDING == "rna":
        up = rest >= (one << (drop - 1))
    elif ROUNDING == "sr":
        x = u.to(carrier, bitcast=True).to(tl.float64)
        low = (u - rest).to(carrier, bitcast=True).to(tl.float64)
        high = (u - rest + (one << drop)).to(carrier, bitcast=True).to(tl.float64)
        up = x - low > r.to(tl.float64) * 5.9604644775390625e-08 * (high - low)
    else:
        up = rest < 0
    return tl.where(some, u - rest + (up.to(u.dtype) << drop), u)


@triton.jit
def signed(found, u, P: tl.constexpr, SIGN: tl.constexpr, INFINITY: tl.constexpr):
    """Patterns with the sign of u. Zero has no sign; NaN stays."""
    a = u & (SIGN - 1)
    found = tl.where(a == 0, 0, found | (u & -SIGN))
    return tl.where(a > INFINITY, u, found).to(u.dtype)


@triton.jit
def kernel(
    x, y, s, bits, table, elements, offset, seed, step_low, step_high,
    BLOCK: tl.constexpr, TENSORS: tl.constexpr, SCALED: tl.constexpr, GIVEN: tl.constexpr, ALIGNED: tl.constexpr,
    P: tl.constexpr, BIAS: tl.constexpr, INTEGER: tl.constexpr, SIGN: tl.constexpr, INFINITY: tl.constexpr,
    N: tl.constexpr, ES: tl.constexpr, LEAST: tl.constexpr, LIMIT: tl.constexpr, ROUNDING: tl.constexpr,
    MOST: tl.constexpr,
):  # fmt: skip
    """One block."""
    given, to, inside, number, scale = load(x, y, s, table, elements, offset, BLOCK, TENSORS, SCALED, ALIGNED)
    u = given.to(INTEGER, bitcast=True)
    r = u
    if ROUNDING == "sr":
        r = random_bits(bits, number, inside, seed, step_low, step_high, BLOCK, GIVEN)
    a = tl.minimum(tl.maximum(u & (SIGN - 1), LEAST), LIMIT)
    k = ((a >> P) - BIAS) >> ES
    left = N - 1 - tl.where(k >= 0, k + 2, 1 - k)
    drop = ES + P - left
    tail = a - (((k << ES) + BIAS) << P)
    odd = tl.where(left > 0, (tail >> tl.maximum(drop, 0)) & 1, (k < 0).to(INTEGER))
    found = signed(cut(a, drop, odd, tail, r, given.dtype, ROUNDING), u, P, SIGN, INFINITY)
    store(to, found.to(given.dtype, bitcast=True), inside, scale, SCALED, MOST)


def carrier_constants(switches: Switches, carrier: torch.dtype) -> dict[str, Any]:
    """What every kernel on patterns compiles in."""
    layout = LAYOUTS[carrier]
    narrow = carrier == torch.float32
    return {
        "P": layout.fraction,
        "INTEGER": tl.int32 if narrow else tl.int64,
        "SIGN": 1 << (31 if narrow else 63),
        "INFINITY": layout.infinity,
        "ROUNDING": switches.rounding,
        "MOST": torch.finfo(carrier).max if switches.overflow == "sat" else 0.0,
    }


def constants(format: Format, switches: Switches, carrier: torch.dtype) -> Mapping[str, Any]:
    """What the kernel compiles in: patterns of the carrier as integers."""
    return {
        **carrier_constants(switches, carrier),
        "BIAS": LAYOUTS[carrier].bias,
        "N": format.parameters["n"],
        "ES": format.parameters["es"],
        "LEAST": pattern(1 / largest(format), carrier),
        "LIMIT": pattern(largest(format), carrier),
    }
