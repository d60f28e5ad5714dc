"""Logarithmic numbers: a sign and the logarithm in base two, rounded to `fraction` bits; one code is zero.

Parameters: `fraction`, and `limit`, the largest code L: the values are 2^(L / 2^fraction) for |L| <= limit, each as the
nearest float32 (float64 in class B). To nearest means nearest in the logarithm; no number is a tie, because the ties
are irrational. Below the least value by more than half a code it is zero. Stochastic rounding and rounding towards zero
look at the values. Source: Swartzlander, Alexopoulos 1975.
"""

import decimal
import math
from bisect import bisect_left
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any

import torch
from torch import Tensor

from kernels.bit_strings import LAYOUTS
from kernels.formats import Format, Switches
from kernels.kinds import RANDOM_BITS, Number, exponent
from kernels.logarithms import fine
from kernels.powers import octave

DIGITS = decimal.Context(prec=60)

FINEST = 12
"""Fraction bits up to which a table of one octave decides; beyond them, `kernels.logarithms` computes the ties."""


def value(format: Format, code: int) -> Fraction:
    """What a code L stands for."""
    row: Any = format.parameters
    f: int = row["fraction"]
    e = code >> f
    return Fraction(2) ** e * power(code - (e << f), f, 52 if format.precision_class == "B" else 23)


@lru_cache(maxsize=4096)
def power(i: int, fraction: int, bits: int) -> Fraction:
    """2^(i / 2^fraction), 0 <= i < 2^fraction, to the nearest with so many bits after the point."""
    exact = DIGITS.power(decimal.Decimal(2), DIGITS.divide(decimal.Decimal(i), 1 << fraction))
    return Fraction(round(Fraction(exact) * (1 << bits)), 1 << bits)


def values(format: Format) -> list[Fraction]:
    """Every value, sorted."""
    row: Any = format.parameters
    positive = [value(format, code) for code in range(-row["limit"], row["limit"] + 1)]
    return [-number for number in reversed(positive)] + [Fraction(0)] + positive


def largest(format: Format) -> Fraction:
    """2^(limit / 2^fraction), as the carrier of its class shows it."""
    row: Any = format.parameters
    return value(format, row["limit"])


def exact(format: Format, x: Number, switches: Switches, random: Fraction | None = None) -> Number:
    """One number, by the definition, with logarithms of 60 digits. Zero has no sign."""
    if x != x:
        return math.nan
    if x == 0:
        return Fraction(0)
    if isinstance(x, float):
        return largest(format) if x > 0 else -largest(format)
    found = _magnitude(format, abs(x), switches.rounding, random)
    return -found if x < 0 else found


def _magnitude(format: Format, a: Fraction, rounding: str, random: Fraction | None) -> Fraction:
    row: Any = format.parameters
    limit = row["limit"]
    near = round(logarithm(a) * (1 << row["fraction"]))
    if rounding == "rne":
        return Fraction(0) if near < -limit else value(format, min(near, limit))
    code = max(min(near, limit), -limit - 1)
    low = Fraction(0) if code == -limit - 1 else value(format, code)
    if low > a:
        code, low = code - 1, Fraction(0) if code == -limit else value(format, code - 1)
    if rounding == "rtz" or code == limit:
        return low
    assert random is not None, "stochastic rounding needs random numbers"
    high = value(format, code + 1)
    return high if (a - low) / (high - low) > random else low


def logarithm(a: Fraction) -> Fraction:
    """log2 to about 55 digits, exact at powers of two."""
    e = exponent(a)
    m = a / Fraction(2) ** e
    if m == 1:
        return Fraction(e)
    quotient = DIGITS.divide(decimal.Decimal(m.numerator), decimal.Decimal(m.denominator))
    return e + Fraction(DIGITS.divide(DIGITS.ln(quotient), DIGITS.ln(decimal.Decimal(2))))


def fast(format: Format, x: Tensor, switches: Switches, random_bits: Tensor | None = None) -> Tensor:
    """Elementwise in PyTorch, float32 or float64: integer cuts decide, no logarithm is called."""
    row: Any = format.parameters
    if row["fraction"] > FINEST:
        return fine(x, row["fraction"], row["limit"], switches.rounding)
    a = x.abs()
    nearest = switches.rounding == "rne"
    code = codes(a, row["fraction"], nearest).clamp(-row["limit"] - 1, row["limit"])
    y = valued(code, row["fraction"], row["limit"], x.dtype)
    if switches.rounding == "sr":
        assert random_bits is not None, "stochastic rounding needs random numbers"
        above = valued((code + 1).clamp(max=row["limit"]), row["fraction"], row["limit"], x.dtype)
        low, high = y.double(), above.double()
        y = torch.where(a.double() - low > random_bits.double() * 2.0**-RANDOM_BITS * (high - low), above, y)
    return torch.where(x.isnan(), x, torch.copysign(y, x)) + 0.0


def codes(a: Tensor, fraction: int, nearest: bool) -> Tensor:
    """L of each a >= 0: e 2^fraction and the number of cuts that its fraction field has reached."""
    layout = LAYOUTS[a.dtype]
    u = a.view(layout.integer)
    before, cuts, _ = tables(fraction, a.dtype, nearest, a.device)
    field = u & ((1 << layout.fraction) - 1)
    part = field >> (layout.fraction - fraction - 1)
    return (((u >> layout.fraction) - layout.bias) << fraction) + before[part] + (field >= cuts[part])


def valued(code: Tensor, fraction: int, limit: int, carrier: torch.dtype) -> Tensor:
    """2^(L / 2^fraction) from a table of one octave; zero below -limit."""
    layout = LAYOUTS[carrier]
    _, _, octave_of = tables(fraction, carrier, True, code.device)
    bits = octave_of[code & ((1 << fraction) - 1)] + ((code >> fraction) << layout.fraction)
    return torch.where(code < -limit, torch.zeros_like(bits), bits).view(carrier)


@cache
def tables(fraction: int, carrier: torch.dtype, nearest: bool, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """(cuts before each part, the cut in it, patterns of 2^(i / 2^fraction) as float32 shows them) for one octave.

    A cut is the least fraction field of what goes to the next code: of a tie 2^((i + 1/2) / 2^fraction), or of a value
    without `nearest`, rounded up to the carrier. Two cuts are more than 2^-(fraction + 1) apart, so that 2^(fraction +
    1) equal parts of an octave hold at most one each.
    """
    layout, steps = LAYOUTS[carrier], 1 << fraction
    powers = octave(fraction + 1, 2 * steps)
    values = [Fraction(round(power * (1 << 23)), 1 << 23) for power in powers[::2]]
    cuts = [math.ceil((place - 1) * (1 << layout.fraction)) for place in (powers[1::2] if nearest else values[1:])]
    patterns = torch.tensor([float(value) for value in values], dtype=carrier).view(layout.integer)
    ends = [part << (layout.fraction - fraction - 1) for part in range(2 * steps)]
    before = [bisect_left(cuts, end) for end in ends]
    nothing = 1 << layout.fraction
    next_one = torch.tensor([[*cuts, nothing][index] for index in before], dtype=layout.integer)
    return torch.tensor(before, dtype=layout.integer, device=device), next_one.to(device), patterns.to(device)
