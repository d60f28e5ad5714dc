"""Expansions: a number as the sum of a few float64, each at most half a unit in the last place of the one before."""

import sys
from fractions import Fraction

from torch import Tensor

from kernels.formats import Format, Switches
from kernels.kinds import Number


def values(format: Format) -> list[Fraction]:
    """Refused: there are too many to list."""
    raise ValueError(f"{format.id} has more values than can be listed.")


def largest(format: Format) -> Fraction:
    """The largest float64 and, for each further part, about half a unit in the last place of the one before."""
    return sum((Fraction(sys.float_info.max) / 2 ** (54 * i) for i in range(components(format))), Fraction(0))


def exact(format: Format, x: Number, switches: Switches, random: Fraction | None = None) -> Number:
    """One number: its nearest float64, then the nearest of what is left, and so on."""
    end = largest(format)
    if isinstance(x, float):
        return x if x != x or x == 0 else end if x > 0 else -end
    return sum((Fraction(part) for part in parts(max(-end, min(end, x)), components(format))), Fraction(0))


def fast(format: Format, x: Tensor, switches: Switches, random_bits: Tensor | None = None) -> Tensor:
    """A float is a sum of one."""
    return x.clone()


def components(format: Format) -> int:
    """How many float64 are summed."""
    return int(str(format.parameters["components"]))


def parts(x: Fraction, count: int) -> list[float]:
    """The float64 whose sum stands for a number within float64's range, falling in magnitude."""
    found = []
    for _ in range(count):
        found.append(float(x))
        x -= Fraction(found[-1])
    return found
