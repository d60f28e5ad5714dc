"""Integers, fixed point, decimals: by other implementations and by whole-number arithmetic."""

import decimal
import math
from fractions import Fraction

import pytest
import torch

from kernels.formats import formats
from kernels.quantize import quantize
from tests.kernels.numbers import spread


@pytest.fixture
def normal():
    return torch.randn(200_000, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("bits", [4, 8, 16])
def test_signed_integers_are_those_of_torch(bits, normal):
    top = 2 ** (bits - 1) - 1
    s = normal.abs().max() / top
    theirs = torch.fake_quantize_per_tensor_affine(normal, s, torch.tensor(0, dtype=torch.int32), -top, top)
    ours = quantize(normal, f"int{bits}")
    # torch multiplies by 1 / S; where that is not the division, x / S lies beside a tie
    beside = ((normal / s).abs() % 1 - 0.5).abs() < 2.0 ** (bits - 24)
    assert torch.equal(ours[~beside], theirs[~beside]) and beside.float().mean() < 0.01
    exact = (normal.double() / s.double()).round()[~beside]
    assert torch.equal(ours[~beside], (exact.float() * s))


@pytest.mark.parametrize("bits", [4, 8, 16])
def test_unsigned_integers_are_those_of_torch(bits, normal):
    x, top = normal * 0.3 + 0.2, 2**bits - 1
    s = (x.max() - x.min()) / top
    zero = (-x.min() / s).round().int()
    theirs = torch.fake_quantize_per_tensor_affine(x, s, zero, 0, top)
    beside = ((x / s).abs() % 1 - 0.5).abs() < 2.0 ** (bits - 24)
    assert torch.equal(quantize(x, f"uint{bits}")[~beside], theirs[~beside]) and beside.float().mean() < 0.01
    assert quantize(x, f"uint{bits}").unique().numel() <= top + 1


def test_unsigned_integers_of_32_bits_count_in_float64():
    x = torch.randn(5000, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    s = (x.max() - x.min()) / (2**32 - 1)
    code = (x / s).round() + (-x.min() / s).round()
    assert torch.equal(quantize(x, "uint32"), (code.clamp(0, 2**32 - 1) - (-x.min() / s).round()) * s)
    assert torch.equal(quantize(x.float(), "uint32"), quantize(x.float().double(), "uint32").float())


def test_a_range_of_one_sign_still_holds_zero():
    x = torch.tensor([3.0, 4.0, 5.1])
    assert quantize(x, "uint8").sub(x).abs().max() <= 5.1 / 255 / 2 * 1.001
    assert quantize(torch.cat([x, torch.zeros(1)]), "uint8")[-1] == 0
    assert torch.equal(quantize(torch.zeros(5), "uint8"), torch.zeros(5))


@pytest.mark.parametrize(
    ("name", "fraction", "low", "high"),
    [
        ("q7", 7, -128, 127),
        ("q15", 15, -32768, 32767),
        ("q31", 31, -(2**31), 2**31 - 1),
        ("q_format", 16, -(2**31), 2**31 - 1),
    ],
)
def test_fixed_point_counts_whole_units_and_saturates_at_both_ends(name, fraction, low, high):
    x = torch.cat([spread(4000, 3, reach=40), torch.tensor([math.inf, -math.inf, -0.0])])
    expected = [min(max(round(Fraction(v) * 2**fraction), low), high) for v in x[:-3].tolist()]
    y = quantize(x, name)
    assert (y[:-3] * 2**fraction).tolist() == expected
    assert y[-3:].tolist() == [high / 2**fraction, low / 2**fraction, 0.0] and not torch.signbit(y[-1])
    assert quantize(x.float(), name).max() <= high / 2**fraction


def test_int32_takes_a_power_of_two_as_scale_and_leaves_float32_near_the_largest_alone():
    x = torch.randn(5000, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    s = 2.0 ** (math.floor(math.log2(x.abs().max())) - 30)
    assert torch.equal(quantize(x, "int32"), (x / s).round() * s)
    narrow = x.float()
    near = narrow.abs() >= narrow.abs().max() / 64
    assert torch.equal(quantize(narrow, "int32")[near], narrow[near])


def test_decimal32_is_that_of_pythons_decimals():
    context = decimal.Context(
        prec=7, Emin=-95, Emax=96, clamp=1, rounding=decimal.ROUND_HALF_EVEN, traps=[decimal.Inexact] * 0
    )
    tie = (torch.arange(1_000_000, 9_999_999, 9973).double() + 0.5)[:, None] * torch.tensor([1.0, 1e3, 2.0**-9, 1e15])
    x = torch.cat([spread(6000, 13, reach=330), tie.flatten(), torch.tensor([9.9999994e96, 1e-101, 5e-102, 4e-102])])
    expected = [float(context.create_decimal(v)) for v in x.tolist()]
    assert quantize(x, "decimal32", overflow="ieee").tolist() == expected
    assert quantize(x, "decimal32").tolist() == [math.copysign(min(abs(v), 9.999999e96), v) for v in expected]
    narrow = x[x.abs() < 1e38].float()
    expected = [float(context.create_decimal(v)) for v in narrow.tolist()]
    assert torch.equal(quantize(narrow, "decimal32"), torch.tensor(expected, dtype=torch.float64).float())


@pytest.mark.parametrize(("name", "last"), [("bcd", 999), ("bcd8", 9)])
def test_packed_decimals_share_a_power_of_ten(name, last):
    for seed in range(12):
        x = spread(40, seed, torch.float32, reach=90)
        x = x * 1e-20 if seed % 2 else x
        k = next(k for k in range(-60, 60) if decimal.Decimal(last).scaleb(k) >= decimal.Decimal(x.abs().max().item()))
        codes = [round(decimal.Decimal(v).scaleb(-k, decimal.Context(prec=200))) for v in x.tolist()]
        expected = torch.tensor([float(decimal.Decimal(c).scaleb(k)) for c in codes], dtype=torch.float64).float()
        assert torch.equal(quantize(x, name), expected)
        assert x.abs().max() > 0 and max(map(abs, codes)) <= last


def test_what_admits_no_switch_refuses_it_by_name():
    for name, switches in {
        "posit8": {"underflow": "ftz"},
        "int8": {"overflow": "ieee"},
        "uint8": {"scaling": "none"},
    }.items():
        with pytest.raises(Exception, match=name):
            quantize(torch.ones(2), name, **switches)
    assert {f.id for f in formats.values() if f.kind == "posit" and f.precision_class == "C"} == {"posit64"}
