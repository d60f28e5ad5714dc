"""Floats in base two: the PyTorch form of `kernels.kinds.floating`."""

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from kernels.formats import Format, Switches
from kernels.grids import Grid, grid
from kernels.kinds.rounding import count, round_pattern, zero_or

CASTS = {(10, -14, 15): torch.float16, (7, -126, 127): torch.bfloat16}
"""Fraction bits, smallest and largest exponent of torch's own dtypes."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Constants of the PyTorch form for one carrier: P fraction bits, bias B, patterns as `bits`."""

    g: Grid
    P: int
    B: int
    bits: torch.dtype
    shift: int  # bits of the carrier's pattern that rounding clears
    magic: bool  # whether adding and subtracting a power of two rounds
    cast: torch.dtype | None  # of torch, where float32 is cast to it with ties to even by one rounding
    limit: float  # the largest value of the format that the carrier holds
    smallest: float
    flushed: float  # the carrier's last number below the smallest normal value
    normal: float  # 0 where the carrier holds nothing so small, as smallest


@cache
def plan(format: Format, carrier: torch.dtype) -> Plan:
    """The constants of a format on a carrier, float32 or float64."""
    P, B = (23, 127) if carrier == torch.float32 else (52, 1023)
    g = grid(format)
    shift = P - g.fraction_bits
    cut = (2 - 2.0 ** -min(g.fraction_bits, P)) * 2.0**B
    return Plan(
        g=g,
        P=P,
        B=B,
        bits=torch.int32 if P == 23 else torch.int64,
        shift=shift,
        magic=shift > 1 and g.emin > -B and g.emax + 1 + shift <= B,
        cast=CASTS.get((g.fraction_bits, g.emin, g.emax)) if P == 23 and g.bottom == 1 and g.minus_zero else None,
        limit=float(g.largest) if g.emax <= B and g.largest <= Fraction(cut) else cut,
        smallest=float(g.smallest),
        flushed=_before(float(g.normal), carrier),
        normal=float(g.normal),
    )


def _before(value: float, carrier: torch.dtype) -> float:
    """The carrier's number before a value; -1, which no magnitude is at most, before zero."""
    end = torch.tensor(value, dtype=carrier)
    return torch.nextafter(end, torch.zeros_like(end)).item() if end > 0 else -1.0


def fast(format: Format, x: Tensor, switches: Switches, random_bits: Tensor | None = None) -> Tensor:
    """Elementwise in PyTorch, float32 or float64."""
    p = plan(format, x.dtype)
    flush, saturate = switches.underflow == "ftz", switches.overflow == "sat"
    kept = functional.hardshrink(x, p.flushed) if flush else x
    nearest = switches.rounding == "rne"
    if nearest and p.cast and not flush:
        return (x.clamp(-p.limit, p.limit) if saturate else x).to(p.cast).to(x.dtype)
    if nearest and p.magic:
        y = _by_magic(p, kept, p.limit if saturate else 2.0 ** (p.g.emax + 1))
    else:
        y = _by_bits(p, kept.abs(), switches.rounding, random_bits)
    if p.g.bottom > 1 and p.smallest > 0 and not flush:
        a = x.abs()
        below = "rna" if nearest and not p.g.zero_tie else switches.rounding
        y = torch.where(a < p.smallest, zero_or(p.smallest, a, below, random_bits), y)
    if saturate:
        y = y if nearest and p.magic else y.clamp_(-p.limit, p.limit)
    elif p.g.emax <= p.B:
        assert p.g.beyond is not None, "a format without infinity and NaN only saturates"
        ends = (x.abs() < math.inf) & (switches.rounding == "rtz")
        y = torch.where(y.abs() > p.limit, torch.where(ends, y.clamp(-p.limit, p.limit), p.g.beyond), y)
    y = y.copysign_(x)
    return y if p.g.minus_zero else y.add_(0.0)


def _by_magic(p: Plan, x: Tensor, end: float) -> Tensor:
    """To nearest, ties to even: (x + 1.5 C) - 1.5 C with C so that the last bit of the sum is the quantum of x."""
    y = x.clamp(-end, end)
    power = (y.view(p.bits) & ((2 * p.B + 1) << p.P)).view(y.dtype).clamp_(min=2.0**p.g.emin)
    return y.add_(power, alpha=1.5 * 2.0**p.shift).sub_(power, alpha=1.5 * 2.0**p.shift)


def _by_bits(p: Plan, a: Tensor, rounding: str, random_bits: Tensor | None) -> Tensor:
    """Round the pattern of what is normal in the format, and count quanta of what is not. a: a new tensor, |x|."""
    if p.shift <= 0:
        return a
    if p.g.emin == 1 - p.B:  # the subnormals of format and carrier are the same numbers, but for the last bits
        return round_pattern(a, p.shift, rounding, random_bits)
    if p.g.emin <= -p.B:  # the carrier's subnormals are normal in the format
        tiny = a < 2.0 ** (1 - p.B)
        lifted = round_pattern(torch.where(tiny, a * 2.0**64, a), p.shift, rounding, random_bits)
        return torch.where(tiny, lifted * 2.0**-64, lifted)
    quantum = 2.0 ** (p.g.emin - p.g.fraction_bits)
    few = count(a.clamp(max=2.0**p.g.emin) / quantum, rounding, random_bits) * quantum
    return torch.where(a < 2.0**p.g.emin, few, round_pattern(a, p.shift, rounding, random_bits))
