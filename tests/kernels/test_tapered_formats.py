"""Posits and takums: every code, every tie, their neighbours."""

import math

import numpy as np
import pytest
import torch

from kernels.formats import formats
from kernels.kinds import kind_of
from kernels.quantize import quantize
from tests.kernels.numbers import from_table

NAMES = ["posit8", "posit16", "posit8_es0", "posit16_es1", "takum8", "tapered_fp"]


def positive_posits(n, es):
    """Values of the codes 1 .. 2^(n-1)-1, by bit operations on all of them at once."""
    code = np.arange(1, 1 << (n - 1))
    ones = (code >> (n - 2)) & 1 == 1
    turned = np.where(ones, ~code & ((1 << (n - 1)) - 1), code)
    run = n - 1 - np.floor(np.log2(np.maximum(turned, 0.5))).astype(int) - 1
    run = np.where(turned == 0, n - 1, run)
    k = np.where(ones, run - 1, -run)
    rest = np.maximum(n - 2 - run, 0)
    tail = (code & ((1 << rest) - 1)).astype(np.float64) / (1 << rest).astype(np.float64) * (1 << es)
    x = np.floor(tail)
    return np.ldexp(1 + tail - x, (k * (1 << es) + x).astype(int))


def positive_takums(n):
    """The same for takums, whose missing bits are zeros."""
    code = np.arange(1, 1 << (n - 1)) << max(12 - n, 0)
    n = max(n, 12)
    length = (code >> (n - 5)) & 7
    up = (code >> (n - 2)) & 1 == 1
    r = np.where(up, length, 7 - length)
    p = n - 5 - r
    field = (code >> p) & ((1 << r) - 1)
    c = np.where(up, (1 << r) - 1 + field, 1 - (2 << r) + field)
    return np.ldexp(1 + (code & ((1 << p) - 1)) / (1 << p), c)


def positive(name, bits):
    row = formats[name].parameters
    return positive_posits(bits, row["es"]) if "es" in row else positive_takums(bits)


@pytest.mark.parametrize("name", NAMES)
def test_every_code_tie_and_neighbour_goes_where_the_bit_string_says(name):
    n = formats[name].parameters["n"]
    values = positive(name, n)
    ties = positive(name, n + 1)[2:-1:2]
    assert len(values) == 2 ** (n - 1) - 1 and (np.diff(values) > 0).all() and len(ties) == len(values) - 1
    for carrier in (torch.float64, torch.float32):
        end = torch.finfo(carrier).max
        points = torch.tensor(np.concatenate([values, ties]))
        points = points[(points <= end) & (points > torch.finfo(carrier).tiny)].to(carrier)
        x = torch.cat([points, points.nextafter(points * 2), points.nextafter(points * 0)])
        table = np.concatenate([values[:1], values])  # index = code; nothing goes to code 0
        expected = from_table(x.double().numpy(), table, np.concatenate([[-1.0], ties]))
        assert torch.equal(quantize(x, name).double(), torch.tensor(np.minimum(expected, values[values <= end][-1])))
        assert torch.equal(quantize(-x, name), -quantize(x, name))


@pytest.mark.parametrize("name", NAMES)
def test_the_listed_values_are_those_of_the_codes(name):
    listed = np.array([float(value) for value in kind_of(formats[name]).values(formats[name])])
    values = positive(name, formats[name].parameters["n"])
    assert np.array_equal(listed, np.concatenate([-values[::-1], [0.0], values]))


def test_takums_of_32_bits_round_the_fraction_that_is_left_beside_the_characteristic():
    c = np.random.default_rng(3).integers(-250, 250, 20_000)
    f = np.random.default_rng(4).integers(0, 1 << 52, 20_000)
    r = np.floor(np.log2(np.where(c >= 0, c + 1, -c))).astype(int)
    step = np.ldexp(1.0, c - (27 - r))
    x = np.ldexp(1 + f * 2.0**-52, c)
    expected = np.rint(x / step) * step
    assert torch.equal(quantize(torch.tensor(x), "takum32"), torch.tensor(expected))


@pytest.mark.parametrize("name", [*NAMES, "posit32", "takum32"])
def test_nothing_becomes_zero_or_leaves_the_range(name):
    x = torch.tensor([5e-324, 1e-300, 1e300, math.inf, 0.0, -0.0, math.nan], dtype=torch.float64)
    kind = kind_of(formats[name])
    y = quantize(x, name)
    largest = float(kind.largest(formats[name]))
    assert 0 < y[0] == y[1] < 0.1 and y[2] == y[3] == largest and y[6].isnan()
    assert torch.equal(torch.signbit(y[4:6]), torch.tensor([False, False]))
    assert torch.equal(quantize(-x[:4], name), -y[:4])


def test_posit32_leaves_float32_near_one_alone():
    x = torch.randn(100_000, generator=torch.Generator().manual_seed(0))
    x = x[(x.abs() >= 2.0**-20) & (x.abs() < 2.0**20)]
    assert torch.equal(quantize(x, "posit32"), x)
    assert not torch.equal(quantize(x.double() * (1 + 2.0**-40), "posit32"), x.double() * (1 + 2.0**-40))
