"""Linear takums: a direction bit and three bits of length, then the characteristic of that length, then the fraction.

Parameter: `n` bits. Source: Hunhold 2024, arXiv:2404.18603 (its linear form); the logarithmic form is another format.
"""

from fractions import Fraction
from functools import cache
from typing import Any

import torch
from torch import Tensor

from kernels.bit_strings import LAYOUTS, below, cut, every, nearest, pattern, signed
from kernels.books import Book, looked_up
from kernels.formats import Format, Switches
from kernels.kinds import Number

FIELDS = 12
"""Bits up to the longest characteristic: from here on a code holds all of it, and only the fraction is cut."""

LIFT = 64
"""Subnormal numbers of the carrier are multiplied by 2^64 to find their exponent."""


def decode(n: int, code: int) -> Fraction:
    """The value of a code in 1 .. 2^(n-1)-1: 2^c (1 + f). Bits that the string lacks count as zeros."""
    bits = f"{code:0{n - 1}b}".ljust(FIELDS - 1, "0")
    up, length = bits[0] == "1", int(bits[1:4], 2)
    r = length if up else 7 - length
    field = int(bits[4 : 4 + r] or "0", 2)
    c: int = 2**r - 1 + field if up else 1 - 2 ** (r + 1) + field
    rest = bits[4 + r :]
    return Fraction(int("1" + rest, 2), 1 << len(rest)) * Fraction(2) ** c


def values(format: Format) -> list[Fraction]:
    """Every real value, sorted."""
    row: Any = format.parameters
    return every(decode, row["n"])


def largest(format: Format) -> Fraction:
    """The value of the code 01..1."""
    n = int(format.parameters["n"])  # type: ignore[arg-type]
    return decode(n, (1 << n - 1) - 1)


def exact(format: Format, x: Number, switches: Switches, random: Fraction | None = None) -> Number:
    """One number, by the definition."""
    row: Any = format.parameters
    return nearest(decode, row["n"], x, switches.rounding, random)


def fast(format: Format, x: Tensor, switches: Switches, random_bits: Tensor | None = None) -> Tensor:
    """Elementwise in PyTorch, float32 or float64.

    From 12 bits on only fraction bits are cut, n-5-r of them stay, and a carry lands in the next characteristic.
    """
    row: Any = format.parameters
    n, layout = row["n"], LAYOUTS[x.dtype]
    if n < FIELDS:
        least = float(decode(n, 1))
        kept = torch.where(x == 0, x, torch.copysign(x.abs().clamp(min=least), x))
        return looked_up(short(n), kept, switches.rounding, random_bits)
    a = x.abs()
    low, high = bounds(n, x.dtype)
    tiny = (a < torch.finfo(x.dtype).tiny) if low == 0 else torch.zeros_like(a, dtype=torch.bool)
    u = torch.where(tiny, a * 2.0**LIFT, a).view(layout.integer).clamp(low, high)
    c = (u >> layout.fraction) - layout.bias - LIFT * tiny.to(u.dtype)
    r = length(c)
    drop = layout.fraction - (n - 5 - r)
    y = cut(u, drop, (u >> drop.clamp(min=0)) & 1, switches.rounding, random_bits, u)
    y = y.clamp(max=high).view(x.dtype)
    return signed(torch.where(tiny, y * 2.0**-LIFT, y).view(layout.integer), x)


def length(c: Tensor) -> Tensor:
    """Bits r of a characteristic: floor(log2 (c+1)) for c >= 0, floor(log2 -c) below; at most 7."""
    size = torch.where(c >= 0, c + 1, -c)
    return sum(((size >= 1 << bit).to(c.dtype) for bit in range(1, 8)), start=torch.zeros_like(c))


@cache
def bounds(n: int, carrier: torch.dtype) -> tuple[int, int]:
    """Patterns of the least positive value, 0 where the carrier has nothing below it, and of the largest it holds."""
    least = decode(n, 1)
    last = below(decode, n, min(decode(n, 2 ** (n - 1) - 1), Fraction(torch.finfo(carrier).max)))
    low = pattern(least, carrier) if least > Fraction(2) ** (1 - LAYOUTS[carrier].bias) else 0
    return low, pattern(decode(n, last), carrier)


@cache
def short(n: int) -> Book:
    """All values of takums so short that characteristics are cut; a tie goes to the even code."""
    codes = range(1, 2 ** (n - 1))
    positive = [decode(n, code) for code in codes]
    ties = [decode(n + 1, 2 * code + 1) for code in codes[:-1]]
    least = decode(n, 1) * 0  # nothing but zero becomes zero
    return Book(
        tuple([-value for value in reversed(positive)] + [Fraction(0)] + positive),
        tuple([-tie for tie in reversed(ties)] + [least, least] + ties),
        tuple(
            [code % 2 == 0 for code in reversed(codes[:-1])] + [True, False] + [code % 2 == 1 for code in codes[:-1]]
        ),
    )
