"""Value sets of floats in base two, as integers."""

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, cached_property
from typing import Any

from kernels.formats import Format


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A value set in integers.

    fraction_bits: M. top: fraction field of the largest finite value, at emax. bottom: the smallest positive value in
    units of 2^(emin - M): 1 where there are subnormals. beyond: what overflow gives under `ieee`, None where nothing.
    zero_tie: whether half the smallest value goes to zero, where there are no subnormals.
    """

    fraction_bits: int
    emin: int
    emax: int
    top: int
    bottom: int
    beyond: float | None
    minus_zero: bool
    zero_tie: bool

    @cached_property
    def largest(self) -> Fraction:
        """The largest finite value."""
        return Fraction((1 << self.fraction_bits) + self.top) * Fraction(2) ** (self.emax - self.fraction_bits)

    @cached_property
    def smallest(self) -> Fraction:
        """The smallest positive value."""
        return self.bottom * Fraction(2) ** (self.emin - self.fraction_bits)

    @cached_property
    def normal(self) -> Fraction:
        """The smallest normal value."""
        return max(self.smallest, Fraction(2) ** self.emin)


@cache
def grid(format: Format) -> Grid:
    """The value set of a row: E, M, bias and what its codes mean.

    codes: `ieee` reserves the top exponent for infinities and NaN; `fn` and `inf` reserve only the all-ones code, for
    NaN and infinity; `fnuz` reserves the code of minus zero for NaN; `finite` reserves nothing. emin, emax, bottom
    (all in `Grid`), minus_zero, zero_tie: given where they do not follow from E, M and bias.
    """
    row: Any = format.parameters
    M, codes = row["M"], row["codes"]
    reserved = 2 if codes == "ieee" else 1
    return Grid(
        fraction_bits=M,
        emin=row["emin"] if "emin" in row else 1 - row["bias"],
        emax=row["emax"] if "emax" in row else (1 << row["E"]) - reserved - row["bias"],
        top=(1 << M) - (2 if codes in ("fn", "inf") else 1),
        bottom=row.get("bottom", 1),
        beyond={"ieee": math.inf, "inf": math.inf, "fn": math.nan, "fnuz": math.nan, "finite": None}[codes],
        minus_zero=bool(row.get("minus_zero", codes != "fnuz")),
        zero_tie=bool(row.get("zero_tie", 1)),
    )
