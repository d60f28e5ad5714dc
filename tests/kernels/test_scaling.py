"""Scales of tensors, rows and blocks: tails, axes, zeros, NaN, infinities; the figures that formats are known by."""

import math

import pytest
import torch

from kernels.formats import formats
from kernels.kinds import kind_of
from kernels.quantize import quantize
from kernels.scaling import reach
from tests.kernels.numbers import same_bits, spread

FIGURES = {  # share to zero and SQNR in dB on N(0,1), then on N(0,0.02)
    ("posit8", "none"): (0.0, 31.52, 0.0, 25.61),
    ("posit8_es0", "none"): (0.0, 40.14, 0.0, 8.38),
    ("posit16", "none"): (0.0, 79.66, 0.0, 73.75),
    ("posit16_es1", "none"): (0.0, 85.62, 0.0, 72.69),
    ("tapered_fp", "none"): (0.0, 76.46, 0.0, 67.49),
    ("lns8", "none"): (0.0033, 32.00, 0.1624, 25.43),
    ("decimal32", "none"): (0.0, 135.51, 0.0, 138.78),
    ("nf4", "block"): (0.0880, 20.73, 0.0880, 20.73),
    ("mxfp8", "block"): (0.0, 30.64, 0.0, 30.67),
    ("mxfp8_e5m2", "block"): (0.0, 25.37, 0.0, 25.37),
    ("mxfp6", "block"): (0.0028, 25.37, 0.0025, 25.37),
    ("mxfp6_e2m3", "block"): (0.0220, 30.94, 0.0202, 31.06),
    ("mxfp4", "block"): (0.0881, 18.78, 0.0811, 18.86),
    ("nvfp4", "block"): (0.0679, 20.44, 0.0679, 20.44),
    ("block_fp", "block"): (0.0093, 42.78, 0.0091, 43.11),
    ("block_fp_m3", "block"): (0.1486, 18.64, 0.1469, 18.98),
    ("shared_exp", "pow2"): (0.0001, 83.03, 0.0001, 85.18),
    ("int4", "amax"): (0.2750, 13.86, 0.2750, 13.86),
    ("int8", "amax"): (0.0153, 39.04, 0.0153, 39.04),
    ("int16", "amax"): (0.0001, 87.27, 0.0001, 87.27),
    ("gfternary", "none"): (0.5820, 6.30, 1.0, 0.0),
    ("q15", "none"): (0.0, 8.22, 0.0006, 67.12),
    ("q_format", "none"): (0.0, 107.12, 0.0003, 73.14),
}


def test_noise_and_lost_values_on_normal_numbers_are_the_known_figures():
    draws = torch.randn(1 << 20, generator=torch.Generator().manual_seed(0))[: 1 << 18]
    wrong = {}
    for (name, scaling), known in FIGURES.items():
        for sigma, share, decibels in ((1.0, *known[:2]), (0.02, *known[2:])):
            x = draws * sigma
            y = quantize(x, name, scaling=scaling)
            noise = (y.double() - x.double()).square().sum()
            found = 10 * math.log10(x.double().square().sum() / noise)
            # amax, and with it the step of a whole tensor's scale, moves from sample to sample
            allowed = (0.8, 0.03) if scaling in ("amax", "pow2") else (0.06, 0.004)
            if abs(found - decibels) > allowed[0] or abs((y == 0).float().mean().item() - share) > allowed[1]:
                wrong[name, sigma] = found, (y == 0).float().mean().item()
    assert not wrong


BLOCKS = [f.id for f in formats.values() if "block" in f.admits["scaling"] and f.precision_class not in "CD"]


@pytest.mark.parametrize("length", [1, 31, 32, 33, 100])
def test_a_block_knows_nothing_of_its_neighbours_and_a_tail_is_a_block(length):
    x = spread(480, 21, torch.float32, reach=20)[: 4 * length].reshape(4, length)
    for name in ("mxfp4", "mxfp8", "mxint8", "block_fp", "nf4", "int8", "fp8_e4m3"):
        f = formats[name]
        whole = quantize(x, f, scaling="block")
        parts = [quantize(part.contiguous(), f, scaling="block") for part in x.split(f.block or 32, dim=1)]
        assert same_bits(whole, torch.cat(parts, 1)), name
        assert same_bits(quantize(x.T, f, scaling="block", axis=0), whole.T), name
        assert same_bits(quantize(x.reshape(2, 2, length), f, scaling="block").reshape(4, length), whole), name


def test_a_scalar_format_in_blocks_of_a_power_of_two_is_the_mx_format():
    x = spread(3200, 22, torch.float32, reach=60).reshape(-1, 32)[:90]
    for scalar, micro in {"fp8_e4m3": "mxfp8", "fp8_e5m2": "mxfp8_e5m2", "fp6_e2m3": "mxfp6_e2m3"}.items():
        assert same_bits(quantize(x, scalar, scaling="block"), quantize(x, micro))
    assert same_bits(quantize(x.double(), "mxfp4").float(), quantize(x, "mxfp4"))


def test_the_four_ways_to_choose_a_scale_are_those_of_their_definition():
    x = spread(6400, 23, torch.float32, reach=30).reshape(-1, 32)[:190]
    a = x.abs().amax(1).double()
    e = torch.frexp(a)[1].double() - 1
    top, emax, half_ulp = 6.0, 2, 2.0**-2  # of E2M1
    exponents = {
        "mxfp4": e - emax,
        "mxfp4_ceil": e + (a != torch.exp2(e)) - emax,
        "mxfp4_even": torch.frexp(a * 1 + half_ulp * torch.exp2(e))[1] - 1 - emax,
        "mxfp4_rceil": torch.ceil(torch.log2(a / top)),
    }
    for name, X in exponents.items():
        s = torch.exp2(X).float()[:, None]
        assert torch.equal(quantize(x, name), quantize(x / s, "fp4_e2m1") * s), name
    assert (quantize(x, "mxfp4_rceil").abs().amax(1) >= x.abs().amax(1) / 1.26).all()


def test_blocks_of_the_least_numbers_of_float32_are_exact():
    x = spread(640, 24, torch.float32, reach=2)[:640].reshape(-1, 32)
    for power in (-118, -124, -126, -130, -140):
        tiny = x * 2.0**power
        for name in ("mxfp8", "mxfp4_rceil", "mxint8", "mxint8_ceil", "mxint8_even", "mxfp6_e2m3_even"):
            assert torch.equal(quantize(tiny, name), quantize(tiny.double(), name).float()), (name, power)


def test_two_levels_are_a_scale_of_the_tensor_and_one_of_eight_bits_that_is_never_subnormal():
    x = torch.ldexp(spread(320, 26, torch.float32, reach=2)[:320].reshape(-1, 16), -torch.arange(20)[:, None])
    t = x.abs().max() / (448 * 6)
    b = (x.abs().amax(1, keepdim=True) / 6 / t).clamp(2.0**-6, 448).to(torch.float8_e4m3fn).float()
    assert (b == 2.0**-6).any() and (b > 2.0**-6).any()
    assert torch.equal(quantize(x, "nvfp4"), quantize(x / (b * t), "fp4_e2m1") * (b * t))


@pytest.mark.parametrize("f", [formats[name] for name in BLOCKS], ids=BLOCKS)
def test_zeros_nan_infinity_and_the_ends_of_the_range_are_defined_in_blocks(f):
    n = f.block or 32
    zeros, ends = torch.zeros(n), torch.full((n,), torch.finfo(torch.float32).max)
    nan = torch.linspace(1, 2, n)
    nan[3] = math.nan
    infinite = torch.linspace(1, 2, n)
    infinite[1] = -math.inf
    tiny = torch.full((n,), 1e-45)
    y = quantize(torch.cat([zeros, -zeros, nan, infinite, ends, -ends, tiny]), f, scaling="block").reshape(7, n)
    assert (y[:2] == 0).all() and y[2][3].isnan() and y[4:].isfinite().all() and y[3].isfinite().all()
    micro = f.parameters.get("scale") in ("floor", "ceil", "even", "rceil", "two_level")
    assert y[2].isnan().sum() == (n if micro else 1)
    assert (y[3][1] < -1e38) and (y[4] > 1e38).all() and (y[5] <= -y[4]).all()


def test_blocks_share_an_exponent_as_whole_numbers_say():
    x = spread(1600, 25, torch.float32, reach=30)[:1600].reshape(-1, 16)
    q = torch.exp2(torch.frexp(x.abs().amax(1, keepdim=True))[1].double() - 1)
    for name, m in {"block_fp": 7, "block_fp_m3": 3}.items():
        step = q * 2.0 ** (1 - m)
        code = (x.double() / step).round().clamp(1 - 2**m, 2**m - 1)
        assert torch.equal(quantize(x, name).double(), code * step)
    step = q.max() * 2.0**-14
    code = (x.double() / step).round().clamp(-32768, 32767)
    assert torch.equal(quantize(x, "shared_exp").double(), code * step)


def test_power_of_two_scales_change_nothing_but_the_exponent():
    x = spread(600, 27, torch.float32, reach=12)
    for name in ("int8", "lns8", "posit8", "takum8", "gfternary", "q7", "unum2", "fp4_e2m1"):
        y = quantize(x, name, scaling="pow2")
        assert same_bits(quantize(x * 2.0**30, name, scaling="pow2"), y * 2.0**30), name
        assert same_bits(quantize(x * 2.0**-60, name, scaling="pow2"), y * 2.0**-60), name


def test_rows_have_their_own_scale_along_the_axis_that_is_named():
    x = spread(60, 28, torch.float32, reach=12)[:60].reshape(3, 4, 5)
    for name in ("int8", "uint8", "posit8", "bcd"):
        y = quantize(x, name, scaling="row", axis=1)
        for i, j in ((0, 0), (2, 4), (1, 3)):
            assert same_bits(y[i, :, j], quantize(x[i, :, j].contiguous(), name, scaling="amax")), name


def test_tapered_formats_are_scaled_to_where_they_are_finest():
    x = torch.randn(4096, generator=torch.Generator().manual_seed(3)) * 1e-6
    for name in ("posit8", "takum8", "posit16"):
        errors = [(quantize(x, name, scaling=how) - x).square().mean() for how in ("none", "pow2", "amax", "row")]
        assert max(errors[1:]) < errors[0] / 3


def test_the_reach_is_where_saturation_begins():
    x = spread(400, 29, torch.float32, reach=8)[:384].abs()
    for name, scaling in (("int8", "amax"), ("posit8", "none"), ("mxfp4", "block"), ("q7", "none"), ("mxfp8", "block")):
        f = formats[name]
        ends = reach(f, x, f.switches(scaling=scaling), -1).expand_as(x)
        y = quantize(x, name, scaling=scaling)
        assert (y.abs() <= ends).all() and torch.equal(y.abs()[x.abs() > ends], ends[x.abs() > ends]), name


@pytest.mark.parametrize("name", ["posit8", "int8", "mxfp4", "nf4", "lns16", "decimal32", "uint8"])
def test_the_gradient_is_the_identity_and_stops_beyond_the_reach_when_clipped(name):
    x = torch.linspace(-3, 3, 64, dtype=torch.float64).requires_grad_()
    g = torch.randn(64, dtype=torch.float64, generator=torch.Generator().manual_seed(6))
    assert torch.equal(torch.autograd.grad(quantize(x, name), x, g)[0], g)
    f = formats[name]
    inside = x.abs() <= reach(f, x.detach(), f.switches(), -1)
    assert torch.equal(torch.autograd.grad(quantize(x, name, clip_gradient=True), x, g)[0], g * inside)
    assert kind_of(f).largest(f) > 0
