"""Decimal floats: an integer of so many digits times a power of ten; and decimals with one exponent for all.

Parameters: `digits`, `emin` and `emax` (of scientific notation), or `digits` and `exponent` for a fixed one. The values
are seldom dyadic: float64 shows the nearest that it has, and float32 the nearest to that. Source: IEEE 754-2019,
section 3.5; the value set does not depend on the encoding.
"""

import math
from fractions import Fraction
from functools import cache
from typing import Any

import torch
from torch import Tensor

from kernels.formats import Format, Switches
from kernels.kinds import RANDOM_BITS, Number, rounded
from kernels.powers import pairs, product

TEN = Fraction(10)

REACH = 110
"""Powers of ten from -110 to 110 are in the table."""


def exponents(format: Format) -> tuple[int, int]:
    """Of the least and of the greatest last digit."""
    row: Any = format.parameters
    if "exponent" in row:
        return row["exponent"], row["exponent"]
    return row["emin"] - row["digits"] + 1, row["emax"] - row["digits"] + 1


def values(format: Format) -> list[Fraction]:
    """Every finite value, sorted, of a fixed exponent."""
    row: Any = format.parameters
    low, high = exponents(format)
    assert low == high, "too many values to list"
    last = 10 ** row["digits"] - 1
    return [code * TEN**low for code in range(-last, last + 1)]


def largest(format: Format) -> Fraction:
    """All digits nine, with the greatest exponent."""
    row: Any = format.parameters
    digits: int = row["digits"]
    return Fraction(10**digits - 1) * TEN ** exponents(format)[1]


def exact(format: Format, x: Number, switches: Switches, random: Fraction | None = None) -> Number:
    """One number, by the definition."""
    if x != x:
        return math.nan
    negative = math.copysign(1, x) < 0 if isinstance(x, float) else x < 0
    if isinstance(x, float) and math.isinf(x):
        found: Number = largest(format) if switches.overflow == "sat" else math.inf
    else:
        found = _magnitude(format, abs(Fraction(x)), switches, random)
    if found == 0:
        return -0.0 if negative else Fraction(0)
    return -found if negative else found


def _magnitude(format: Format, a: Fraction, switches: Switches, random: Fraction | None) -> Number:
    row: Any = format.parameters
    low, high = exponents(format)
    if switches.underflow == "ftz" and a < TEN ** row.get("emin", 0):
        return Fraction(0)
    e = low
    while e < high and a >= TEN ** (e + row["digits"]):
        e += 1
    found = rounded(a / TEN**e, switches.rounding, random) * TEN**e
    if found <= largest(format):
        return found
    return largest(format) if switches.overflow == "sat" or switches.rounding == "rtz" else math.inf


def fast(format: Format, x: Tensor, switches: Switches, random_bits: Tensor | None = None) -> Tensor:
    """Elementwise in PyTorch, in float64."""
    row: Any = format.parameters
    a, end = x.abs().double(), float(largest(format))
    low, high = exponents(format)
    e = (torch.bucketize(a.contiguous(), cuts(x.device), right=True) - REACH - row["digits"]).clamp(low, high)
    y = counted(a, e, switches.rounding, random_bits)
    if switches.underflow == "ftz":
        y = torch.where(a < cuts(x.device)[row["emin"] + REACH], torch.zeros_like(y), y)
    if switches.overflow == "ieee":
        over = torch.full_like(y, end if switches.rounding == "rtz" else math.inf)
        y = torch.where(a.isinf(), a, torch.where(y > end, over, y))
    else:
        y = y.clamp(max=largest_held(format, x.dtype))
    return torch.where(x.isnan(), x, torch.copysign(y.to(x.dtype), x))


@cache
def largest_held(format: Format, carrier: torch.dtype) -> float:
    """The largest value of the format that the carrier's range holds."""
    end = Fraction(torch.finfo(carrier).max)
    return float(exact(format, min(end, largest(format)), Switches(rounding="rtz")))


def counted(a: Tensor, e: Tensor, rounding: str, random_bits: Tensor | None) -> Tensor:
    """n 10^e, n the integer for a / 10^e, a >= 0, as the nearest float64.

    a / 10^e is compared with n + 1/2 by an exact product on one side, a 10^-e or (n + 1/2) 10^e. That product of two
    float64 is exact while 10^|e| is one, up to 10^22, and ties exist nowhere else; beyond it is right to 2^-104, and a
    float64 comes no nearer to one of the 10^7 ties of an exponent than about 2^-84 of itself.
    """
    a = a.clamp(max=10.0**REACH)
    high, low = tens(a.device)
    near = a * high[REACH - e]
    power = high[REACH + e.abs()], low[REACH + e.abs()]
    if rounding in ("rne", "rna"):
        n = near.floor()
        beyond = excess(a, n + 0.5, e, *power)
        n = n + ((beyond > 0) | ((beyond == 0) & ((n % 2 == 1) | (rounding == "rna")))).double()
    else:
        n = near.round()
        n = n - (excess(a, n, e, *power) < 0).double()
    if rounding == "sr":
        assert random_bits is not None, "stochastic rounding needs random numbers"
        rest = excess(a, n, e, *power)
        rest = torch.where(e > 0, rest / power[0], rest)
        n = n + (rest > random_bits.double() * 2.0**-RANDOM_BITS).double()
    y, error = product(n, high[REACH + e])
    return y + (error + n * low[REACH + e])


def excess(a: Tensor, n: Tensor, e: Tensor, high: Tensor, low: Tensor) -> Tensor:
    """a / 10^e - n, times 10^e where e > 0, with the exact sign. high, low: 10^|e|."""
    down = e > 0
    factor = torch.where(down, n, a)
    most, error = product(factor, high)
    difference = (most - torch.where(down, a, n)) + (error + factor * low)
    return torch.where(down, -difference, difference)


@cache
def tens(device: torch.device) -> tuple[Tensor, Tensor]:
    """10^k, k from -REACH to REACH, as pairs of float64."""
    return pairs([TEN**k for k in range(-REACH, REACH + 1)], device)


@cache
def cuts(device: torch.device) -> Tensor:
    """The least float64 that is at least 10^k, k from -REACH to REACH."""
    found = [float(TEN**k) for k in range(-REACH, REACH + 1)]
    places = zip(found, range(-REACH, REACH + 1), strict=True)
    raised = [math.nextafter(x, math.inf) if Fraction(x) < TEN**k else x for x, k in places]
    return torch.tensor(raised, dtype=torch.float64, device=device)
