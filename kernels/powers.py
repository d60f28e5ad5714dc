"""Powers of two and of ten beyond float64: pairs of float64 whose sum is right to about 2^-104, and exact products."""

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import cache

import torch
from torch import Tensor

SPLITTER = 134217729.0
"""2^27 + 1, which cuts a float64 into two halves of 26 bits (Veltkamp; Dekker 1971)."""

BITS = 256
"""Of the fixed-point integers that roots of two are computed with."""


def product(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """(p, e) with p = fl(a b) and p + e = a b exactly, for float64 far from the ends of its range (Dekker 1971)."""
    p = a * b
    a_high, b_high = _half(a), _half(b)
    a_low, b_low = a - a_high, b - b_high
    return p, ((a_high * b_high - p) + a_high * b_low + a_low * b_high) + a_low * b_low


def _half(a: Tensor) -> Tensor:
    c = SPLITTER * a
    return c - (c - a)


def pair(value: Fraction) -> tuple[float, float]:
    """The value as the sum of two float64, the second at most half an ulp of the first."""
    high = float(value)
    return high, float(value - Fraction(high))


def pairs(values: Sequence[Fraction], device: torch.device) -> tuple[Tensor, Tensor]:
    """The values as two float64 tensors."""
    high, low = torch.tensor([pair(value) for value in values], dtype=torch.float64, device=device).T.contiguous()
    return high, low


@cache
def octave(bits: int, steps: int) -> tuple[Fraction, ...]:
    """2^(i / 2^bits) for i = 0 .. steps-1, each to about 2^-240, by square roots of integers."""
    root = 2 << BITS
    for _ in range(bits):
        root = math.isqrt(root << BITS)
    found = [1 << BITS]
    for _ in range(steps - 1):
        found.append(found[-1] * root >> BITS)
    return tuple(Fraction(power, 1 << BITS) for power in found)
