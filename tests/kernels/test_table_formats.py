"""Logarithmic numbers and code books: every value, every place between two, and its neighbours."""

import decimal
import math
from bisect import bisect_left
from fractions import Fraction
from itertools import pairwise

import pytest
import torch

from kernels.formats import formats
from kernels.kinds import kind_of
from kernels.kinds.codebook import quantiles
from kernels.quantize import quantize
from tests.kernels.numbers import same_bits, spread

BOOKS = {"nf4": [], "nf8": [], "unum2": [], "gfternary": []}
PHI = 1.6180340051651


def points(name):
    """The values as the page that defines them gives them, exactly."""
    if name == "unum2":
        above = [Fraction(2 ** (j >> 2)) * (1 + Fraction(j & 3, 4)) for j in range(1, 32)]
        positive = sorted([*above, Fraction(1), *(1 / v for v in above)])
    elif name == "gfternary":
        positive = [Fraction(PHI)]
    else:
        return kind_of(formats[name]).values(formats[name])
    return [-v for v in reversed(positive)] + [Fraction(0)] + positive


def nearest(x, values, ties):
    """Index of the value nearest to x, by comparing the distances of the two beside it."""
    x = Fraction(x)
    high = min(max(bisect_left(values, x), 1), len(values) - 1)
    beside = [high - 1, high]
    distance = [abs(x - values[index]) for index in beside]
    if distance[0] != distance[1]:
        return beside[distance.index(min(distance))]
    return beside[0] if ties == "lower" else next(i for i in beside if (i - values.index(0)) % 2 == 0)


@pytest.mark.parametrize("name", BOOKS)
def test_every_entry_midpoint_and_neighbour_goes_to_the_nearest_entry(name):
    values, ties = points(name), formats[name].parameters["ties"]
    middles = [(low + high) / 2 for low, high in pairwise(values)]
    x = torch.tensor([float(v) for v in [*values, *middles]], dtype=torch.float64).float()
    x = torch.cat([x, x.nextafter(x + 1), x.nextafter(x - 1)])
    held = torch.tensor([float(v) for v in values], dtype=torch.float64).float()
    expected = held[[nearest(v, values, ties) for v in x.tolist()]]
    assert torch.equal(quantize(x, name, scaling="none"), expected)
    assert torch.equal(quantize(x.double(), name, scaling="none"), expected.double())


def test_the_formula_of_quantiles_gives_the_published_table_to_the_sixth_digit():
    published = [float(v) for v in kind_of(formats["nf4"]).values(formats["nf4"])]
    assert [float(v) for v in quantiles(4)] == pytest.approx(published, abs=1e-6)
    assert len(set(quantiles(8))) == 256 and quantiles(8)[0] == -1 and quantiles(8)[-1] == 1


def test_the_lattice_of_unums_has_127_reals_and_ends_at_224():
    values = kind_of(formats["unum2"]).values(formats["unum2"])
    assert len(values) == 127 and values[-1] == 224 and values[64] == Fraction(torch.tensor(1 / 224).item())


@pytest.mark.parametrize(("name", "fraction", "limit"), [("lns8", 3, 63), ("lns16", 10, 16383)])
def test_a_logarithm_is_rounded_as_powers_of_whole_numbers_say(name, fraction, limit):
    wide = spread(400, 5, torch.float64, reach=10)
    tie = 2 ** ((torch.arange(0, 2**fraction, 7) + 0.5) / 2**fraction).double()
    x = torch.cat([wide[wide > 0], tie, tie.nextafter(tie + 1), tie.nextafter(tie - 1)])[:150]
    for a, y in zip(x.tolist(), quantize(x, name, scaling="none").tolist(), strict=True):
        code = round(math.log2(y) * 2**fraction) if y else -limit - 1
        up, square = Fraction(2) ** (2 * code + 1), Fraction(a) ** (2 << fraction)
        assert square < up or code == limit
        assert square * 4 > up or not y
        assert y == 0 or y == torch.tensor(2 ** (code / 2**fraction), dtype=torch.float32).item()


def test_ties_of_the_logarithm_next_to_every_value_of_lns8_are_decided_exactly():
    context = decimal.Context(prec=50)
    for carrier in (torch.float32, torch.float64):
        tie = [context.power(2, decimal.Decimal(2 * code + 1) / 16) for code in range(-63, 63)]
        near = torch.tensor([float(t) for t in tie], dtype=torch.float64).to(carrier)
        x = torch.stack([near.nextafter(near * 0), near, near.nextafter(near * 2)])
        above = torch.tensor([[decimal.Decimal(v) > t for v, t in zip(row, tie, strict=True)] for row in x.tolist()])
        values = torch.tensor([2 ** (code / 8) for code in range(-63, 64)], dtype=torch.float64).float().to(carrier)
        expected = torch.where(above, values[1:], values[:-1])
        assert torch.equal(quantize(x, "lns8", scaling="none"), expected)


def test_lns32_is_nearest_in_the_logarithm_by_arithmetic_of_sixty_digits():
    context = decimal.Context(prec=50)
    half = [decimal.Decimal(2 * code + 1) / 2**24 for code in range(0, 2**23, 41941)]
    tie = torch.tensor([float(context.power(2, exponent)) for exponent in half], dtype=torch.float64)
    x = torch.cat([spread(400, 9, torch.float64), tie, tie.nextafter(tie * 0), tie.nextafter(tie * 2)])
    f = formats["lns32"]
    for carrier in (torch.float64, torch.float32):
        y = x.to(carrier)
        assert same_bits(quantize(y, f), quantize(y, f, form="definition"))


def test_what_is_half_a_code_below_the_least_logarithm_is_zero():
    least = 2 ** (-63 / 8)
    x = torch.tensor([least * 0.957, least * 0.958, 1e-30, -0.0, -1e-30], dtype=torch.float64)
    y = quantize(x, "lns8", scaling="none")
    assert y.tolist() == [0.0, torch.tensor(least).float().item(), 0.0, 0.0, 0.0] and not torch.signbit(y[3:]).any()
