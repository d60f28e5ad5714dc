"""Floats in base sixteen: 0.F * 16^h with a fraction of `digits` hexadecimal digits, the first one not zero."""

import math
from fractions import Fraction

import torch
from torch import Tensor

from kernels.formats import Format, Switches
from kernels.kinds import Number, exponent, rounded
from kernels.kinds.rounding import round_pattern, zero_or


def integers(format: Format) -> tuple[int, int, int]:
    """Digits, smallest and largest h."""
    digits, low, high = (int(str(format.parameters[name])) for name in ("digits", "emin", "emax"))
    return digits, low, high


def values(format: Format) -> list[Fraction]:
    """Every finite value, sorted."""
    digits, low, high = integers(format)
    fractions = range(16 ** (digits - 1), 16**digits)
    positive = [n * Fraction(16) ** (h - digits) for h in range(low, high + 1) for n in fractions]
    return [-value for value in reversed(positive)] + [Fraction(0)] + positive


def largest(format: Format) -> Fraction:
    """(1 - 16^-digits) 16^emax."""
    digits, _, high = integers(format)
    return Fraction(16**digits - 1) * Fraction(16) ** (high - digits)


def exact(format: Format, x: Number, switches: Switches, random: Fraction | None = None) -> Number:
    """One number, by the definition. Below the smallest value the neighbours are zero and that value."""
    digits, low, _ = integers(format)
    if x != x:
        return math.nan
    negative = math.copysign(1, x) < 0 if isinstance(x, float) else x < 0
    smallest, end = Fraction(16) ** (low - 1), largest(format)
    a = end if isinstance(x, float) and math.isinf(x) else abs(Fraction(x))
    if a < smallest:
        up = 0 if switches.underflow == "ftz" else rounded(a / smallest, switches.rounding, random)
        found = up * smallest
    else:
        quantum = Fraction(16) ** (exponent(a) // 4 + 1 - digits)
        found = min(rounded(a / quantum, switches.rounding, random) * quantum, end)
    if found == 0:
        return -0.0 if negative else Fraction(0)
    return -found if negative else found


def fast(format: Format, x: Tensor, switches: Switches, random_bits: Tensor | None = None) -> Tensor:
    """Elementwise in PyTorch: round patterns by a shift that depends on the exponent modulo four."""
    digits, _, _ = integers(format)
    P, B, bits = (23, 127, torch.int32) if x.dtype == torch.float32 else (52, 1023, torch.int64)
    a = x.abs()
    tiny = a < 2.0 ** (1 - B)
    lifted = torch.where(tiny, a * 2.0**64, a)
    e = (lifted.view(bits) >> P) - B
    shift = (P + 4 - 4 * digits - (e & 3)).clamp_(min=0)
    y = round_pattern(lifted, shift, switches.rounding, random_bits)
    y = torch.where(tiny, y * 2.0**-64, y)
    smallest, end = limits(format, x.dtype)
    below = "rtz" if switches.underflow == "ftz" else switches.rounding
    if smallest > 0:  # else the carrier has nothing below it
        y = torch.where(a < smallest, zero_or(smallest, a, below, random_bits), y)
    return torch.copysign(y.clamp_(max=end), x)


def limits(format: Format, carrier: torch.dtype) -> tuple[float, float]:
    """The smallest positive and the largest value that the carrier holds; 0 for a smallest below all of the carrier's.

    The carrier's last exponent, 127 or 1023, is one where a fraction has all of its bits.
    """
    digits, low, _ = integers(format)
    P, B = (23, 127) if carrier == torch.float32 else (52, 1023)
    p = min(4 * digits, P + 1)
    held = ((1 << p) - 1) * Fraction(2) ** (B + 1 - p)
    smallest = Fraction(16) ** (low - 1)
    return float(smallest) if smallest >= Fraction(2) ** (1 - B - P) else 0.0, float(min(largest(format), held))
