"""Integers times a power of two: code i stands for i / 2^fraction, low <= i <= high.

Parameters: `low`, `high` (one code may be left unused, so that the values are symmetric) and `fraction` (0 if absent).
Fixed-point numbers are these without a scale; integers, and the elements of shared exponents, have one.
"""

import math
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from kernels.formats import Format, Switches
from kernels.kinds import RANDOM_BITS, Number, rounded

closed = True
"""Saturation ends at a number of the carrier: 2^31 - 1 is none of float32, and 2^31 none of int32."""


def unit(format: Format) -> Fraction:
    """The step between two values."""
    row: Any = format.parameters
    return Fraction(1, 1 << row.get("fraction", 0))


def values(format: Format) -> list[Fraction]:
    """Every value, sorted."""
    row: Any = format.parameters
    return [code * unit(format) for code in range(row["low"], row["high"] + 1)]


def largest(format: Format) -> Fraction:
    """The largest value."""
    row: Any = format.parameters
    high: int = row["high"]
    return high * unit(format)


def exact(format: Format, x: Number, switches: Switches, random: Fraction | None = None) -> Number:
    """One number, by the definition. Zero has no sign."""
    row: Any = format.parameters
    if x != x:
        return math.nan
    if isinstance(x, float) and math.isinf(x):
        end: int = row["high" if x > 0 else "low"]
        return end * unit(format)
    magnitude = rounded(abs(Fraction(x)) / unit(format), switches.rounding, random)
    code = -magnitude if x < 0 else magnitude
    held: int = min(max(code, row["low"]), row["high"])
    return held * unit(format)


def fast(format: Format, x: Tensor, switches: Switches, random_bits: Tensor | None = None) -> Tensor:
    """Elementwise in PyTorch, float32 or float64."""
    row: Any = format.parameters
    step = float(unit(format))
    low, high = held_down(row["low"], x.dtype), held_down(row["high"], x.dtype)
    code = whole(x if step == 1 else x / step, switches.rounding, random_bits).clamp(low, high)
    return (code if step == 1 else code * step) + 0.0


def held_down(code: int, carrier: torch.dtype) -> float:
    """The code, or the nearest towards zero that the carrier holds."""
    bits = torch.finfo(carrier).eps ** -1 * 2
    spare = max(abs(code).bit_length() - int(bits).bit_length() + 1, 0)
    return math.copysign(abs(code) >> spare << spare, code)


def whole(t: Tensor, rounding: str, random_bits: Tensor | None) -> Tensor:
    """Each t to one of the two integers beside it."""
    if rounding == "rne":
        return t.round()
    low = t.trunc()
    rest = (t - low).abs()
    if rounding == "rtz":
        return low
    if rounding == "rna":
        return low + torch.copysign((rest >= 0.5).to(t.dtype), t)
    assert random_bits is not None, "stochastic rounding needs random numbers"
    up = rest > random_bits.to(t.dtype) * 2.0**-RANDOM_BITS
    return low + torch.copysign(up.to(t.dtype), t)
