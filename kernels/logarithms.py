"""Logarithmic numbers of so many fraction bits that no table holds an octave: float64, decided by pairs of float64.

The estimate 2^f log2 m is good to far less than one code. What decides is the comparison of m with the places beside
it, 2^((i + 1/2) / 2^f), products of two table entries that are right to about 2^-103. A float64 comes no nearer to one
of the 2^f places of an octave than about 2^-(53 + f + 2), so the sign of the difference is exact.
"""

import math
from fractions import Fraction
from functools import cache

import torch
from torch import Tensor

from kernels.powers import octave, pairs, product

COARSE = 12
"""Bits of a code that the first table takes."""


def fine(x: Tensor, fraction: int, limit: int, rounding: str) -> Tensor:
    """The number nearest in the logarithm (rne), or the next towards zero (rtz); float32 is computed in float64.

    Beyond the range of float32 it is the largest value that float32 holds.
    """
    a = x.abs().double()
    m, e = torch.frexp(torch.where(a.isinf() | (a == 0) | a.isnan(), torch.ones_like(a), a))
    code = ((e.to(torch.int64) - 1) << fraction) + (_nearest if rounding == "rne" else _below)(2 * m, fraction)
    code = torch.where(a.isinf(), limit, torch.where(a == 0, -limit - 1, code)).clamp(
        -limit - 1, held(x.dtype, fraction, limit)
    )
    y = torch.ldexp(_value(code & ((1 << fraction) - 1), fraction), code >> fraction)
    y = torch.where(code < -limit, torch.zeros_like(y), y).to(x.dtype)
    return torch.where(x.isnan(), x, torch.copysign(y, x)) + 0.0


def held(carrier: torch.dtype, fraction: int, limit: int) -> int:
    """The largest code whose value the carrier's range holds."""
    end = torch.finfo(carrier).max
    _, e = math.frexp(end)
    m = torch.tensor([end / 2.0 ** (e - 1)], dtype=torch.float64)
    return min(limit, ((e - 1) << fraction) + int(_below(m, fraction).item()))


def _nearest(m: Tensor, fraction: int) -> Tensor:
    """The code of 1 <= m < 2, by the ties beside the estimate."""
    near = (m.log2() * 2.0**fraction).round().to(torch.int64)
    high, low = _power(near, fraction, True)
    before_high, before_low = _power(near - 1, fraction, True)
    return near + ((m - high) - low >= 0).long() - ((m - before_high) - before_low < 0).long()


def _below(m: Tensor, fraction: int) -> Tensor:
    """The last code whose value, as float64 shows it, is at most 1 <= m < 2."""
    near = (m.log2() * 2.0**fraction).round().to(torch.int64)
    return near - (_value(near, fraction) > m).long()


def _value(code: Tensor, fraction: int) -> Tensor:
    high, low = _power(code, fraction, False)
    return high + low


def _power(code: Tensor, fraction: int, tie: bool) -> tuple[Tensor, Tensor]:
    """2^(code / 2^fraction), or of the tie above the code, for -1 <= code <= 2^fraction, as a pair of float64."""
    rest = fraction - COARSE
    (a_high, a_low), (b_high, b_low) = pair_tables(fraction, tie, code.device)
    i, j = (code >> rest) + 1, code & ((1 << rest) - 1)
    high, low = product(a_high[i], b_high[j])
    low = low + (a_high[i] * b_low[j] + a_low[i] * b_high[j])
    total = high + low
    return total, low - (total - high)


@cache
def pair_tables(fraction: int, tie: bool, device: torch.device) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """2^((i - 1) / 2^12), i = 0 .. 2^12 + 1; 2^(j / 2^fraction), or of the tie above j, for the other bits."""
    steps = 1 << (fraction - COARSE)
    coarse = octave(COARSE, (1 << COARSE) + 1)
    before = Fraction(1, 2) * coarse[-2]
    finest = octave(fraction + 1, 2 * steps)
    return pairs([before, *coarse], device), pairs(finest[int(tie) :: 2], device)
