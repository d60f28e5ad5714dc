"""Formats whose codes are cut bit strings, posits and takums: rounding on the string, by exact arithmetic and on bits.

The codes 1 .. 2^(n-1)-1 stand for ascending positive values, and a code with one more bit stands between two codes.
So "nearest on the bit string" means: x lies below or above the value of the string that ends in one more 1. Where only
fraction bits are cut this is nearest in value; where exponent bits are cut it is not. Nothing but zero becomes zero and
nothing finite becomes NaR, which stands for NaN here. Source: Standard for Posit Arithmetic (2022), section 4.1.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from kernels.kinds import RANDOM_BITS, Number

Decode = Callable[[int, int], Fraction]
"""(bits of a string, its code) -> value, for codes 1 .. 2^(bits-1)-1; ascending."""


def every(decode: Decode, n: int) -> list[Fraction]:
    """All values of n-bit codes, sorted."""
    positive = [decode(n, code) for code in range(1, 2 ** (n - 1))]
    return [-value for value in reversed(positive)] + [Fraction(0)] + positive


def nearest(decode: Decode, n: int, x: Number, rounding: str, random: Fraction | None) -> Number:
    """The value of the n-bit code for x; rna takes ties of the string away from zero, sr the neighbours in value."""
    if x != x:
        return math.nan
    if x == 0:
        return Fraction(0)
    last = 2 ** (n - 1) - 1
    code = last if isinstance(x, float) else below(decode, n, abs(x))
    if code == 0 or code == last:
        value = decode(n, max(code, 1))
    else:
        assert isinstance(x, Fraction)
        value = decode(n, code + upwards(decode, n, code, abs(x), rounding, random))
    return -value if x < 0 else value


def below(decode: Decode, n: int, magnitude: Fraction) -> int:
    """The largest code whose value is at most this; 0 where the least value is above it."""
    low, high = 0, 2 ** (n - 1) - 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if decode(n, middle) <= magnitude else (low, middle - 1)
    return low


def upwards(decode: Decode, n: int, code: int, magnitude: Fraction, rounding: str, random: Fraction | None) -> bool:
    """Whether a magnitude between the values of `code` and `code + 1` goes to the upper one."""
    low, high = decode(n, code), decode(n, code + 1)
    if rounding == "rtz" or magnitude == low:
        return False
    if rounding == "sr":
        assert random is not None, "stochastic rounding needs random numbers"
        return (magnitude - low) / (high - low) > random
    tie = decode(n + 1, 2 * code + 1)
    return magnitude > tie or (magnitude == tie and (rounding == "rna" or code % 2 == 1))


@dataclass(frozen=True)
class Layout:
    """Where a carrier's pattern keeps what: fraction bits, bias, and the integers that hold it."""

    fraction: int
    bias: int
    integer: torch.dtype

    @property
    def infinity(self) -> int:
        """The pattern of infinity; those above it are NaN."""
        return (2 * self.bias + 1) << self.fraction


LAYOUTS = {torch.float32: Layout(23, 127, torch.int32), torch.float64: Layout(52, 1023, torch.int64)}


def pattern(value: Fraction, carrier: torch.dtype) -> int:
    """The bits of the largest number of the carrier at most `value` > 0."""
    end = Fraction(torch.finfo(carrier).max)
    near = torch.tensor(float(min(value, end)), dtype=torch.float64).to(carrier)
    bits = int(near.view(LAYOUTS[carrier].integer).item())
    return bits - (Fraction(near.item()) > value)


def cut(bits: Tensor, drop: Tensor, odd: Tensor, rounding: str, random_bits: Tensor | None, tail: Tensor) -> Tensor:
    """Positive strings with their last `drop` bits rounded away; where drop <= 0 nothing is.

    bits: integers whose end is the string; tail: those with all but the string cleared. odd: whether the kept string
    ends in 1, as 0 or 1. Under sr the neighbours are compared in value, in float64.
    """
    some = drop > 0
    drop = drop.clamp(min=1)
    one = torch.ones_like(drop)
    low = (tail >> drop) << drop
    rest = tail - low
    if rounding == "rtz":
        up = torch.zeros_like(some)
    elif rounding == "sr":
        up = _drawn(bits, bits - rest, bits - rest + (one << drop), random_bits)
    else:
        half = one << (drop - 1)
        up = rest >= half if rounding == "rna" else rest + odd > half
    return torch.where(some, bits - rest + (up.to(bits.dtype) << drop), bits)


def _drawn(x: Tensor, low: Tensor, high: Tensor, random_bits: Tensor | None) -> Tensor:
    """Whether patterns of x go up to `high`: with the probability (x - low) / (high - low)."""
    assert random_bits is not None, "stochastic rounding needs random numbers"
    carrier = torch.float32 if x.dtype == torch.int32 else torch.float64
    x, low, high = (bits.view(carrier).double() for bits in (x, low, high))
    return x - low > random_bits.double() * 2.0**-RANDOM_BITS * (high - low)


def signed(bits: Tensor, x: Tensor) -> Tensor:
    """The number of the pattern of a magnitude with the sign of x. Zero has no sign; NaN stays."""
    y = torch.copysign(bits.view(x.dtype), x)
    return y.masked_fill_(x == 0, 0.0).masked_fill_(x.isnan(), math.nan)
