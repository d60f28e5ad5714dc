"""Floats in base two: M fraction bits over a hidden bit, exponents emin to emax. See `floating_fast` for PyTorch."""

import math
from fractions import Fraction

from kernels.formats import Format, Switches
from kernels.grids import Grid, grid
from kernels.kinds import Number, exponent, rounded
from kernels.kinds.floating_fast import fast

__all__ = ["exact", "fast", "grid", "largest", "values"]


def values(format: Format) -> list[Fraction]:
    """Every finite value under the format's default underflow, sorted."""
    g = grid(format)
    first = 1 << g.fraction_bits if format.defaults.underflow == "ftz" else g.bottom
    unit = Fraction(2) ** (g.emin - g.fraction_bits)
    positive = [n * unit for n in range(first, 1 << g.fraction_bits)]
    for e in range(g.emin, g.emax + 1):
        unit = Fraction(2) ** (e - g.fraction_bits)
        low = max(g.bottom, 1 << g.fraction_bits) if e == g.emin else 1 << g.fraction_bits
        positive += [n * unit for n in range(low, (2 << g.fraction_bits))]
    positive = [value for value in positive if value <= g.largest]
    return [-value for value in reversed(positive)] + [Fraction(0)] + positive


def largest(format: Format) -> Fraction:
    """The largest finite value."""
    return grid(format).largest


def exact(format: Format, x: Number, switches: Switches, random: Fraction | None = None) -> Number:
    """One number, by the definition."""
    g = grid(format)
    if x != x:
        return math.nan
    negative = math.copysign(1, x) < 0 if isinstance(x, float) else x < 0
    if isinstance(x, float) and math.isinf(x):
        found: Number = g.largest if switches.overflow == "sat" else _beyond(g)
    else:
        found = _magnitude(g, abs(Fraction(x)), switches, random)
    if found == 0:
        return -0.0 if negative and g.minus_zero else Fraction(0)
    return -found if negative else found


def _magnitude(g: Grid, a: Fraction, switches: Switches, random: Fraction | None) -> Number:
    """Of a finite number at least zero."""
    if a == 0:
        return Fraction(0)
    tiny = exponent(a) < g.emin or (exponent(a) == g.emin and a < g.normal)
    if tiny and switches.underflow == "ftz":
        return Fraction(0)
    if tiny and g.bottom > 1:
        rounding = "rna" if switches.rounding == "rne" and not g.zero_tie else switches.rounding
        return rounded(a / g.smallest, rounding, random) * g.smallest
    e = max(exponent(a), g.emin)
    n = rounded(a / Fraction(2) ** (e - g.fraction_bits), switches.rounding, random)
    if n >> (g.fraction_bits + 1):
        n, e = n >> 1, e + 1
    if e < g.emax or (e == g.emax and n <= (1 << g.fraction_bits) + g.top):
        return n * Fraction(2) ** (e - g.fraction_bits)
    return g.largest if switches.overflow == "sat" or switches.rounding == "rtz" else _beyond(g)


def _beyond(g: Grid) -> float:
    assert g.beyond is not None, "a format without infinity and NaN only saturates"
    return g.beyond
