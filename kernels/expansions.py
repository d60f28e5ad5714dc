"""Expansions of tensors: numbers of more than 53 bits as sums of float64 tensors, and their rounding to p bits.

An expansion is a list of float64 tensors of one shape, each element's parts falling in magnitude, none more than half a
unit in the last place of the one before. Sums are exact (Knuth 1969; Dekker 1971; Shewchuk 1997); overflow and
underflow of float64 are not looked after. `rounded_exactly` is the definition of the rounding, in rational numbers.
"""

from collections.abc import Sequence
from fractions import Fraction

import torch
from torch import Tensor

from kernels.kinds import exponent
from kernels.kinds import rounded as rounded_integer

Expansion = list[Tensor]


def two_sum(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """(s, e): s is a + b rounded, and s + e is a + b exactly."""
    s = a + b
    of_b = s - a
    return s, (a - (s - of_b)) + (b - of_b)


def quick_two_sum(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """The same where |a| >= |b| or a = 0."""
    s = a + b
    return s, b - (s - a)


def grown(parts: Sequence[Tensor], d: Tensor) -> Expansion:
    """parts + d exactly, with one part more."""
    q, rest = d, []
    for part in reversed(parts):
        q, e = two_sum(q, part)
        rest.append(e)
    return normal([q, *reversed(rest)])


def normal(parts: Sequence[Tensor]) -> Expansion:
    """The same sum with parts that do not overlap, zeros last. parts: in any order of magnitude, any overlaps."""
    found = list(parts)
    for _ in range(len(found)):
        for i in range(len(found) - 1, 0, -1):
            found[i - 1], found[i] = two_sum(found[i - 1], found[i])
        for i in range(len(found) - 1):
            found[i], found[i + 1] = two_sum(found[i], found[i + 1])
    return found


def exponents(parts: Sequence[Tensor]) -> Tensor:
    """floor(log2 |x|) of normal expansions, int64; 0 for zeros."""
    mantissa, e = torch.frexp(parts[0])
    tail = parts[1] if len(parts) > 1 else torch.zeros_like(parts[0])
    below = (mantissa.abs() == 0.5) & (tail * parts[0].sign() < 0)
    return torch.where(parts[0] == 0, 0, e.long() - 1 - below.long())


def power(e: Tensor) -> Tensor:
    """2^e, float64, for whole -1022 <= e <= 1023; from bits."""
    return ((e.clamp(-1022, 1023) + 1023) << 52).view(torch.float64)


def to_multiple(parts: Sequence[Tensor], q: Tensor, count: int) -> tuple[Expansion, Tensor]:
    """Normal expansions to the nearest multiple of q, a power of two, ties to even -> (`count` parts, what changed)."""
    whole = [nearest(part, q) for part in parts]
    left = normal([part - near for part, near in zip(parts, whole, strict=True)])
    half, side = 0.5 * q, left[0].sign()
    beyond = torch.zeros_like(side)
    for part in [left[0] - side * half, *left[1:]]:
        beyond = torch.where(beyond == 0, (part * side).sign(), beyond)
    odd = torch.stack([torch.fmod(near / q, 2.0) for near in whole]).sum(0) % 2 != 0
    up = (beyond > 0) | ((beyond == 0) & odd)
    return normal([*whole, torch.where(up, side * q, torch.zeros_like(q))])[:count], left[0] != 0


def nearest(z: Tensor, q: Tensor) -> Tensor:
    """The multiple of q nearest to z, exactly: z itself where z has no finer bits."""
    scaled = z / q
    return torch.where(scaled.abs() < 2.0**52, scaled.round() * q, z)


def to_bits(parts: Sequence[Tensor], bits: int, count: int) -> tuple[Expansion, Tensor]:
    """Normal expansions to so many significant bits, ties to even -> (`count` parts, what changed)."""
    return to_multiple(parts, power(exponents(parts) - bits + 1), count)


def rounded_exactly(x: Fraction, q: Fraction) -> Fraction:
    """The definition of `to_multiple`, for one number."""
    return (1 if x >= 0 else -1) * rounded_integer(abs(x) / q, "rne", None) * q


def quantum_exactly(x: Fraction, bits: int) -> Fraction:
    """The definition of the quantum of `to_bits`."""
    return Fraction(2) ** (exponent(abs(x)) - bits + 1)
