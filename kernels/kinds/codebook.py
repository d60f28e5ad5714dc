"""A short list of values, to the nearest of which everything rounds.

Parameters: `values`, the list itself, or what makes it: `quantiles` (k bits of the normal distribution) or `lattice`
(as many points above one, four an octave, with their reciprocals). `ties`: `lower`, or `even` by the index from zero.
"""

from fractions import Fraction
from functools import cache
from itertools import pairwise
from statistics import NormalDist
from typing import Any

from torch import Tensor

from kernels.books import Book, entry, looked_up, midway, shown
from kernels.formats import Format, Switches
from kernels.kinds import Number


def quantiles(k: int) -> list[Fraction]:
    """2^k float32 values, -1 to 1: quantiles of the normal distribution at evenly spaced probabilities, and zero.

    One side has half of them, the other one fewer, so that zero is one. Source: Dettmers et al. 2023, arXiv:2305.14314
    (QLoRA), section 3; the outermost probability o as in their code.
    """
    o = 1 - (1 / 2 ** (k + 1) + 1 / (2 ** (k + 1) - 2)) / 2
    half: int = 2 ** (k - 1)

    def side(points: int) -> list[float]:
        spread = (o + (0.5 - o) * index / (points - 1) for index in range(points - 1))
        return [NormalDist().inv_cdf(probability) for probability in spread]

    upper, lower = side(half + 1), side(half)
    found = sorted([*upper, 0.0, *(-value for value in lower)])
    return [shown(Fraction(value / found[-1])) for value in found]


def lattice(points: int) -> list[Fraction]:
    """0, 1, 2^(j >> 2) (1 + (j & 3)/4) for j = 1 .. points, the reciprocals, and their negatives; sorted."""
    above = [2 ** (j >> 2) * (1 + Fraction(j & 3, 4)) for j in range(1, points + 1)]
    positive = sorted([Fraction(1), *above, *(1 / value for value in above)])
    return [-value for value in reversed(positive)] + [Fraction(0)] + positive


def points(format: Format) -> list[Fraction]:
    """The points that the list names, sorted."""
    row: Any = format.parameters
    if "values" in row:
        return [Fraction(value) for value in row["values"]]
    return quantiles(row["quantiles"]) if "quantiles" in row else lattice(row["lattice"])


def values(format: Format) -> list[Fraction]:
    """Every value, sorted: the points as float32 shows them."""
    return list(book(format).values)


def largest(format: Format) -> Fraction:
    """The largest value."""
    return book(format).values[-1]


@cache
def book(format: Format) -> Book:
    """The values of a row with the rule of its ties."""
    found = points(format)
    zero = found.index(Fraction(0))
    even = format.parameters["ties"] == "even"
    return midway(found, [even and (high - zero) % 2 == 0 for _, high in pairwise(range(len(found)))])


def exact(format: Format, x: Number, switches: Switches, random: Fraction | None = None) -> Number:
    """One number, by the definition."""
    return entry(book(format), x, switches.rounding, random)


def fast(format: Format, x: Tensor, switches: Switches, random_bits: Tensor | None = None) -> Tensor:
    """Elementwise in PyTorch: a binary search over the cuts."""
    return looked_up(book(format), x, switches.rounding, random_bits)
