"""Decimal floats: the Triton form of `kernels.kinds.decimal`, in float64."""

from collections.abc import Mapping
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.elementwise_triton import load, random_bits, store
from kernels.formats import Format, Switches
from kernels.kinds.codebook_triton import reached
from kernels.kinds.decimal import REACH, cuts, exponents, largest, largest_held, tens
from kernels.powers_triton import product


@triton.jit
def excess(a, n, e, high, low):
    """`kernels.kinds.decimal.excess`."""
    down = e > 0
    factor = tl.where(down, n, a)
    most, error = product(factor, high)
    difference = (most - tl.where(down, a, n)) + (error + factor * low)
    return tl.where(down, -difference, difference)


@triton.jit
def counted(a, e, r, high, low, REACH: tl.constexpr, ROUNDING: tl.constexpr):
    """`kernels.kinds.decimal.counted`."""
    near = a * tl.load(high + REACH - e)
    size = tl.where(e < 0, -e, e)
    power_high = tl.load(high + REACH + size)
    power_low = tl.load(low + REACH + size)
    n = tl.floor(near)
    if ROUNDING == "rne" or ROUNDING == "rna":
        beyond = excess(a, n + 0.5, e, power_high, power_low)
        half = n * 0.5
        up = (beyond > 0) | ((beyond == 0) & ((half != tl.floor(half)) | (ROUNDING == "rna")))
    else:
        n = tl.floor(near + 0.5)
        n = tl.where(excess(a, n, e, power_high, power_low) < 0, n - 1.0, n)
        up = n < 0
        if ROUNDING == "sr":
            rest = excess(a, n, e, power_high, power_low)
            rest = tl.where(e > 0, rest / power_high, rest)
            up = rest > r.to(tl.float64) * 5.9604644775390625e-08
    n = tl.where(up, n + 1.0, n)
    y, error = product(n, tl.load(high + REACH + e))
    return y + (error + n * tl.load(low + REACH + e))


@triton.jit
def kernel(
    x, y, s, bits, table, elements, offset, seed, step_low, step_high,
    BLOCK: tl.constexpr, TENSORS: tl.constexpr, SCALED: tl.constexpr, GIVEN: tl.constexpr, ALIGNED: tl.constexpr,
    cuts, high, low, SIZE: tl.constexpr, STEPS: tl.constexpr, REACH: tl.constexpr, DIGITS: tl.constexpr,
    LEAST: tl.constexpr, GREATEST: tl.constexpr, NORMAL: tl.constexpr, FLUSH: tl.constexpr, SATURATE: tl.constexpr,
    END: tl.constexpr, HELD: tl.constexpr, ROUNDING: tl.constexpr, MOST: tl.constexpr,
):  # fmt: skip
    """One block. END: the largest value; HELD: that of the carrier's range; NORMAL: index of the least normal one."""
    given, to, inside, number, scale = load(x, y, s, table, elements, offset, BLOCK, TENSORS, SCALED, ALIGNED)
    r = given
    if ROUNDING == "sr":
        r = random_bits(bits, number, inside, seed, step_low, step_high, BLOCK, GIVEN)
    infinite = tl.abs(given) == float("inf")
    wide = tl.abs(tl.where((given != given) | infinite, 0.0, given)).to(tl.float64)
    a = tl.minimum(wide, tl.load(high + 2 * REACH))
    e = reached(wide, cuts, SIZE, STEPS) - REACH - DIGITS
    found = counted(a, tl.minimum(tl.maximum(e, LEAST), GREATEST), r, high, low, REACH, ROUNDING)
    if FLUSH:
        found = tl.where(wide < tl.load(cuts + NORMAL), 0.0, found)
    end = tl.full(found.shape, END, tl.float64)
    endless = tl.full(found.shape, float("inf"), tl.float64)
    if SATURATE:
        found = tl.where((found > HELD) | infinite, tl.full(found.shape, HELD, tl.float64), found)
    else:
        found = tl.where(found > end, end if ROUNDING == "rtz" else endless, found)
        found = tl.where(infinite, endless, found)
    found = found.to(given.dtype)
    integer = tl.int32 if given.dtype == tl.float32 else tl.int64
    minus = given.to(integer, bitcast=True) < 0
    found = tl.where(minus, -found, found)
    store(to, tl.where(given != given, given, found), inside, scale, SCALED, MOST)


def constants(format: Format, switches: Switches, carrier: torch.dtype) -> Mapping[str, Any]:
    """What the kernel compiles in. Products of pairs must not be fused with sums."""
    row: Any = format.parameters
    least, greatest = exponents(format)
    return {
        "SIZE": 2 * REACH + 1,
        "STEPS": (2 * REACH + 1).bit_length(),
        "REACH": REACH,
        "DIGITS": row["digits"],
        "LEAST": least,
        "GREATEST": greatest,
        "NORMAL": row.get("emin", 0) + REACH,
        "FLUSH": switches.underflow == "ftz",
        "SATURATE": switches.overflow == "sat",
        "END": float(largest(format)),
        "HELD": largest_held(format, carrier),
        "ROUNDING": switches.rounding,
        "MOST": torch.finfo(carrier).max if switches.overflow == "sat" else 0.0,
        "enable_fp_fusion": False,
    }


def tables(format: Format, switches: Switches, x: Tensor) -> Mapping[str, Tensor]:
    """What the kernel reads, on the device of x."""
    high, low = tens(x.device)
    return {"cuts": cuts(x.device), "high": high, "low": low}
