"""Sorted tables of values, and the exact places where rounding goes from one entry to the next.

A place is a rational number; a carrier has a first number that lies beyond it, its cut. So comparing with cuts decides
exactly, whatever the table holds: the number of cuts at most x is the index of its entry.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import pairwise

import torch
from torch import Tensor

from kernels.kinds import RANDOM_BITS, Number


@dataclass(frozen=True, eq=False)
class Book:
    """Ascending float32 numbers; between two neighbours the place of their tie, and whether one there goes up."""

    values: tuple[Fraction, ...]
    ties: tuple[Fraction, ...]
    up: tuple[bool, ...]

    def places(self, rounding: str) -> list[tuple[Fraction, bool]]:
        """Between neighbours: from where on a number goes up, and whether the place itself does."""
        if rounding == "rne":
            return list(zip(self.ties, self.up, strict=True))
        if rounding == "rna":
            return [(tie, tie > 0 or (tie == 0 and up)) for tie, up in zip(self.ties, self.up, strict=True)]
        assert rounding == "rtz", rounding
        return [(high, True) if low >= 0 else (low, False) for low, high in pairwise(self.values)]


def midway(points: Sequence[Fraction], up: Sequence[bool]) -> Book:
    """The book of these points, as float32 shows them, whose ties stand midway between the points themselves."""
    return Book(tuple(map(shown, points)), tuple((low + high) / 2 for low, high in pairwise(points)), tuple(up))


def shown(point: Fraction) -> Fraction:
    """The float32 number nearest to a point that is no tie of two."""
    return Fraction(torch.tensor(float(point), dtype=torch.float64).to(torch.float32).item())


def entry(book: Book, x: Number, rounding: str, random: Fraction | None) -> Number:
    """The value of the book for one number."""
    if x != x:
        return math.nan
    if isinstance(x, float) and math.isinf(x):
        return book.values[-1 if x > 0 else 0]
    index = 0
    for low, high in pairwise(book.values) if rounding == "sr" else ():
        assert random is not None, "stochastic rounding needs random numbers"
        index += x >= high or (x > low and goes_up(low, high, Fraction(x), random))
    for place, up in book.places(rounding) if rounding != "sr" else ():
        index += x > place or (x == place and up)
    return book.values[index]


def goes_up(low: Fraction, high: Fraction, x: Fraction, random: Fraction) -> bool:
    """Whether x between two values goes away from zero, towards the greater magnitude, as a number of that sign."""
    inner, outer = (low, high) if low >= 0 else (high, low)
    away = (x - inner) / (outer - inner) > random
    return away == (low >= 0)


@cache
def tables(book: Book, carrier: torch.dtype, rounding: str, device: torch.device) -> tuple[Tensor, Tensor]:
    """(values, cuts) of the entries that the carrier's range holds."""
    held = within(book, carrier)
    values = torch.tensor([float(value) for value in book.values[held]], dtype=torch.float64)
    places = book.places(rounding)[held.start : held.stop - 1]
    cuts = torch.tensor([beyond(place, up, carrier) for place, up in places], dtype=torch.float64)
    return values.to(carrier).to(device), cuts.to(carrier).to(device)


def within(book: Book, carrier: torch.dtype) -> slice:
    """The entries that the carrier's range holds."""
    end = Fraction(torch.finfo(carrier).max)
    held = [index for index, value in enumerate(book.values) if abs(value) <= end]
    return slice(held[0], held[-1] + 1)


def beyond(place: Fraction, itself: bool, carrier: torch.dtype) -> float:
    """The least number of the carrier above a place, or at it where the place itself counts."""
    x = torch.tensor(float(place), dtype=torch.float64).to(carrier)
    while Fraction(x.item()) < place or (Fraction(x.item()) == place and not itself):
        x = torch.nextafter(x, torch.full_like(x, math.inf))
    return x.item()


def looked_up(book: Book, x: Tensor, rounding: str, random_bits: Tensor | None) -> Tensor:
    """The value of the book for every element. NaN stays; zero has no sign."""
    if rounding == "sr":
        y = _drawn(book, x, random_bits)
    else:
        values, cuts = tables(book, x.dtype, rounding, x.device)
        y = values[torch.bucketize(x.contiguous(), cuts, right=True)]
    return torch.where(x.isnan(), x, y)


def _drawn(book: Book, x: Tensor, random_bits: Tensor | None) -> Tensor:
    """One of the two neighbours of each element: the greater magnitude with the share of the way to it."""
    assert random_bits is not None, "stochastic rounding needs random numbers"
    values = drawn_from(book, x.dtype, x.device)
    wide = x.double().clamp(values[0], values[-1])
    index = torch.bucketize(wide.contiguous(), values[1:], right=True)
    low, high = values[index], values[(index + 1).clamp(max=len(values) - 1)]
    inner, outer = torch.where(low >= 0, low, high), torch.where(low >= 0, high, low)
    away = (wide - inner).abs() > random_bits.double() * 2.0**-RANDOM_BITS * (outer - inner).abs()
    return torch.where(wide == low, low, torch.where(away == (low >= 0), high, low)).to(x.dtype)


@cache
def drawn_from(book: Book, carrier: torch.dtype, device: torch.device) -> Tensor:
    """The values that the carrier's range holds, in float64."""
    values = [float(value) for value in book.values[within(book, carrier)]]
    return torch.tensor(values, dtype=torch.float64, device=device)
