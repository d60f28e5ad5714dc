"""Floats: their value sets, and the nearest value for every hard number, against oracles of other makers."""

import math
from fractions import Fraction

import gmpy2
import ml_dtypes
import numpy
import pytest
import torch
from gfloat import Domain, FormatInfo, RoundMode, round_ndarray

from kernels.formats import format_named, formats
from kernels.kinds import kind_of
from kernels.quantize import quantize
from tests.quantizing import FLOATS, LAYOUTS, choices, decoded, finite, hard_numbers, mixed, patterns, same_bits, wrong


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_values_are_those_that_the_codes_decode_to(name):
    distinct, largest, smallest = LAYOUTS[name][4:]
    value = finite(name)
    assert (2 * len(value) - 1, value[-1].item(), value[1].item()) == (distinct, largest, smallest)
    if format_named(name).bits <= 12:
        assert kind_of(format_named(name)).values(format_named(name)) == [
            *(Fraction(-v) for v in reversed(value[1:].tolist())),
            *map(Fraction, value.tolist()),
        ]


def expected(name, x, rounding):
    """By the sorted values alone: the two neighbours of each magnitude, and the switches' rules. Saturating."""
    value = finite(name)
    a = x.abs().double()
    above = torch.bucketize(a, value).clamp(max=len(value) - 1)
    below = (above - (value[above] > a).long()).clamp(min=0)
    low, high = value[below], value[above]
    middle = (low + high) / 2
    odd = below % 2 == 1
    if LAYOUTS[name][3] == "flushed":
        odd = (below + (1 << LAYOUTS[name][1]) - 1) % 2 == 1
    up = {"rne": (a > middle) | ((a == middle) & odd), "rna": a >= middle, "rtz": torch.zeros_like(odd)}[rounding]
    y = torch.where(up, high, low)
    if LAYOUTS[name][3] == "flushed":
        y = torch.where(a < value[1], 0.0, y)
    y = torch.where(a.isnan(), a, y).to(x.dtype).copysign(x)
    return y + 0.0 if LAYOUTS[name][3] == "fnuz" else y


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_value_midpoint_and_neighbour_rounds_to_where_it_belongs(name):
    value = finite(name)
    few = len(value) < 5000
    for carrier in (torch.float32, torch.float64) if few else (torch.float32,):
        hard = hard_numbers(value, carrier)
        x = torch.cat([hard, -hard]) if few else hard
        for rounding in ("rne", "rna", "rtz") if few or len(value) < 50000 else ("rne",):
            found = quantize(x, name, rounding=rounding)
            bad = wrong(found, expected(name, x, rounding))
            assert not bad.any(), (rounding, x[bad][:5], found[bad][:5])


ML_DTYPES = {
    "fp8_e4m3": "float8_e4m3fn", "fp8_e5m2": "float8_e5m2", "minifloat": "float8_e4m3", "fp8_e3m4": "float8_e3m4",
    "fp6_e3m2": "float6_e3m2fn", "fp6_e2m3": "float6_e2m3fn", "fp4_e2m1": "float4_e2m1fn", "bf16": "bfloat16",
    "fp8_e4m3fnuz": "float8_e4m3fnuz", "fp8_e5m2fnuz": "float8_e5m2fnuz", "fp8_e4m3b11fnuz": "float8_e4m3b11fnuz",
}  # fmt: skip


@pytest.mark.parametrize("name", ML_DTYPES)
def test_ml_dtypes_decodes_and_rounds_alike(name):
    theirs = getattr(ml_dtypes, ML_DTYPES[name])
    if name != "bf16":
        codes = numpy.arange(1 << (LAYOUTS[name][0] + LAYOUTS[name][1]), dtype=numpy.uint8).view(theirs)
        assert same_bits(torch.from_numpy(codes.astype(numpy.float64)), decoded(name))
    x = torch.cat([hard_numbers(finite(name)), patterns(200_000), torch.randn(100_000) * 4])
    x = x[x.isfinite()]
    x = torch.cat([x, -x])
    overflow = "sat" if formats[name].admits["overflow"] == ("sat",) else "ieee"
    found = quantize(x, name, overflow=overflow)
    with numpy.errstate(all="ignore"):
        cast = torch.from_numpy(x.numpy().astype(theirs).astype(numpy.float32))
    bad = wrong(found, cast)
    assert not bad.any(), (x[bad][:5], found[bad][:5], cast[bad][:5])


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("fp16", torch.float16), ("bf16", torch.bfloat16), ("fp8_e5m2", torch.float8_e5m2), ("fp8_e4m3", None)],
)
def test_torch_casts_alike(name, dtype):
    x = torch.cat([hard_numbers(finite(name)), patterns(1_000_000)])
    if dtype is None:  # saturates or not, as the version of torch has it
        x, dtype = x[x.abs() <= 464], torch.float8_e4m3fn
    assert same_bits(quantize(x, name, overflow="ieee"), x.to(dtype).float())


GFLOAT = {name: LAYOUTS[name][:4] for name in ("fp16", "tf32", "gf8", "gf12", "gf16", "gf20", "dlfloat16", "fp8_e4m3")}
GFLOAT["gf24"] = (9, 14, 255, "flushed")


@pytest.mark.parametrize("name", GFLOAT)
def test_gfloat_rounds_normal_values_alike(name):
    E, M, bias, codes = GFLOAT[name]
    nans = 1 if codes in ("fn", "dlfloat") else (1 << M) - 1
    infinite = Domain.Finite if codes in ("fn", "dlfloat") else Domain.Extended
    info = FormatInfo(
        name, E + M + 1, M + 1, bias=bias, is_signed=True, domain=infinite, has_nz=True, num_high_nans=nans,
        has_subnormals=codes != "dlfloat", is_twos_complement=False,
    )  # fmt: skip
    x = torch.cat([mixed(count=4000), torch.randn(4000) * 0.02])
    x = x[x.abs() >= 2.0 ** (1 - bias)] if codes in ("flushed", "dlfloat") else x
    x = x[x.abs() < 1e38]
    rounded = {"rne": RoundMode.TiesToEven, "rna": RoundMode.TiesToAway, "rtz": RoundMode.TowardZero}
    for rounding, mode in rounded.items():
        theirs = round_ndarray(info, x.double().numpy(), mode, sat=True)
        found = quantize(x, name, rounding=rounding)
        bad = wrong(found, torch.from_numpy(theirs).float())
        assert not bad.any(), (rounding, x[bad][:5], found[bad][:5], theirs[bad.numpy()][:5])


@pytest.mark.parametrize(
    ("name", "precision"), [("gf64", 40), ("cray", 48), ("gft32", 26), ("vax_g", 53), ("fp32", 24)]
)
def test_gmpy2_rounds_to_the_same_significant_bits(name, precision):
    x = mixed(torch.float64, 1000)
    bounds = {"gft32": (2.0**-360, 2.0**360), "vax_g": (2.0**-1000, 2.0**1000), "fp32": (2.0**-126, 2.0**127)}
    least, most = bounds.get(name, (0.0, 2.0**1023))
    x = x[x.isfinite() & (x.abs() >= least) & (x.abs() < most) & (x != 0)]
    for rounding, mode in {"rne": gmpy2.RoundToNearest, "rtz": gmpy2.RoundToZero}.items():
        with gmpy2.context(precision=precision, round=mode, emin=-1_000_000, emax=1_000_000):
            theirs = torch.tensor([float(gmpy2.mpfr(value)) for value in x.tolist()], dtype=torch.float64)
        assert same_bits(quantize(x, name, rounding=rounding), theirs), rounding


def test_hexadecimal_floats_keep_24_bits_of_a_hexadecimal_fraction():
    x = torch.cat([mixed(count=20_000), patterns(100_000)])
    x = x[x.isfinite()]
    _, exponent = torch.frexp(x.double())
    quantum = torch.pow(torch.tensor(16.0, dtype=torch.float64), torch.ceil(exponent.double() / 4) - 6)
    t = x.double() / quantum
    assert same_bits(quantize(x, "ibm_hfp"), (t.round() * quantum).float().copysign(x))
    assert same_bits(quantize(x, "ibm_hfp", rounding="native"), (t.trunc() * quantum).float().copysign(x))


def test_vax_and_mbf_have_one_zero_and_no_value_below_half_their_smallest():
    least = 2.0**-128
    x = torch.tensor([least / 2, least * 0.75, least * 0.49, least, -least / 4, -0.0, math.inf, -3.4e38, 1e-45, 1.1])
    most = (1 - 2.0**-24) * 2.0**127
    y = torch.tensor([least, least, 0.0, least, 0.0, 0.0, most, -most, 0.0, 1.1])
    for name in ("vax_f", "mbf"):
        assert same_bits(quantize(x, name), y)
    wide = torch.tensor([1 + 2.0**-24, 1 + 3 * 2.0**-24, 0.1], dtype=torch.float64)
    assert quantize(wide, "mbf").tolist() == [1.0, 1 + 2.0**-22, torch.tensor(0.1).item()]
    assert quantize(wide, "vax_f", rounding="native").tolist() == [1 + 2.0**-23, 1 + 2.0**-22, torch.tensor(0.1).item()]


def test_adaptivfloat_moves_its_exponents_to_the_largest_magnitude():
    for amax in (1.0, 1.99, 0.013, 7e9, 3e-37):
        x = torch.tensor([amax, -amax, amax / 3, amax / 100, amax / 300, amax / 1000, 0.0, -0.0])
        top = math.frexp(torch.tensor(amax).item())[1] - 1
        most, least = 2.0**top * (2 - 2.0**-4), 2.0 ** (top - 7) * (1 + 2.0**-4)
        value = torch.tensor(sorted({2.0 ** (top - e) * (1 + f / 16) for e in range(8) for f in range(16)})[1:])
        nearest = value[(x.abs().double()[:, None] - value.double()).abs().argmin(1)]
        wanted = torch.where(x.abs() < least / 2, 0.0, nearest.clamp(max=most)).copysign(x)
        assert same_bits(quantize(x, "afp"), wanted.float())


GOLDEN = {
    "gf16": {1.0: 0x3E00, 1.5: 0x3F00, 2.0: 0x4000, 0.5: 0x3C00, -2.5: 0xC080, math.pi: 0x4124},
    "gf8": {1.0: 0x30, 1.5: 0x38, 2.0: 0x40, -2.5: 0xC4},
    "gf12": {1.0: 0x380, -2.5: 0xC20},
    "gf20": {1.0: 0x3F000, -2.5: 0xC0400},
    "gf24": {1.0: 0x3FC000, -2.5: 0xC01000},
    "gf32": {1.0: 0x3FF80000, -2.5: 0xC0020000},
}


@pytest.mark.parametrize("name", GOLDEN)
def test_goldenfloat_gives_the_values_of_the_published_codes(name):
    E, M = formats[name].exponent_bits, formats[name].fraction_bits
    for x, code in GOLDEN[name].items():
        exponent, fraction = code >> M & ((1 << E) - 1), code & ((1 << M) - 1)
        value = (-1) ** (code >> (E + M)) * (1 + fraction / 2**M) * 2.0 ** (exponent - formats[name].parameters["bias"])
        assert quantize(torch.tensor([x]), name).item() == value


def test_goldenfloat_flushes_before_it_rounds():
    x = torch.tensor([0.9999 * 0.25, 0.25, -0.9999 * 0.25])
    assert same_bits(quantize(x, "gf8"), torch.tensor([0.0, 0.25, -0.0]))
    assert same_bits(quantize(x, "gf8_grad"), torch.tensor([0.25, 0.25, -0.25]))
    assert same_bits(quantize(x, "gf8", underflow="grad"), quantize(x, "gf8_grad"))


def test_the_top_of_e4m3_and_e5m2_overflows_where_their_standard_says():
    x = torch.tensor([448.0, 464.0, 464.0001, math.inf, -1e9])
    assert quantize(x, "fp8_e4m3").tolist() == [448.0, 448.0, 448.0, 448.0, -448.0]
    assert quantize(x, "fp8_e4m3", overflow="ieee").isnan().tolist() == [False, False, True, True, True]
    x = torch.tensor([61439.9, 61440.0, math.inf])
    assert quantize(x, "fp8_e5m2", overflow="ieee").tolist() == [57344.0, math.inf, math.inf]
    assert quantize(x, "fp8_e5m2", overflow="ieee", rounding="rtz").tolist() == [57344.0, 57344.0, math.inf]


def test_gf32_saturates_at_the_last_of_its_values_that_float32_holds():
    x = torch.tensor([torch.finfo(torch.float32).max, math.inf, -math.inf])
    last = (2 - 2.0**-19) * 2.0**127
    assert quantize(x, "gf32").tolist() == [last, last, -last]


@pytest.mark.parametrize("carrier", [torch.float32, torch.float64])
def test_the_torch_form_is_the_definition_under_every_switch(carrier):
    for name in FLOATS:
        f = formats[name]
        x = mixed(carrier, 12)
        for options in choices(f, "rounding", "overflow", "underflow"):
            options |= {"scaling": "none"} if "none" in f.admits["scaling"] else {}
            found, wanted = (quantize(x, f, form=form, seed=3, **options) for form in ("torch", "definition"))
            bad = wrong(found, wanted)
            assert not bad.any(), (name, options, x[bad][:5], found[bad][:5], wanted[bad][:5])


FIGURES = {  # share changed, share to zero, signal to noise in dB, for N(0, 1) and for N(0, 0.02)
    "fp16": (0.9999, 0.0, 73.64, 0.9998, 0.0, 73.67),
    "bf16": (1.0, 0.0, 55.59, 1.0, 0.0, 55.61),
    "tf32": (0.9999, 0.0, 73.64, 0.9998, 0.0, 73.67),
    "fp8_e4m3": (1.0, 0.0008, 31.52, 1.0, 0.0389, 29.62),
    "fp8_e5m2": (1.0, 0.0, 25.56, 1.0, 0.0003, 25.54),
    "fp6_e3m2": (1.0, 0.0249, 25.47, 1.0, 0.8820, 1.66),
    "fp6_e2m3": (1.0, 0.0499, 28.30, 1.0, 0.9982, 0.03),
    "fp4_e2m1": (1.0, 0.1973, 16.34, 1.0, 1.0, 0.0),
    "gf4": (1.0, 0.1973, 16.80, 1.0, 1.0, 0.0),
    "gf8": (1.0, 0.1973, 23.71, 1.0, 1.0, 0.0),
    "gf8_grad": (1.0, 0.0061, 37.45, 1.0, 0.3042, 12.93),
    "gf12": (1.0, 0.0123, 54.23, 1.0, 0.5658, 9.75),
    "gf16": (0.9999, 0.0, 67.63, 0.9999, 0.0, 67.65),
    "gf20": (0.9995, 0.0, 85.70, 0.9993, 0.0, 85.69),
    "gf24": (0.9980, 0.0, 97.73, 0.9975, 0.0, 97.76),
    "gf32": (0.9377, 0.0, 127.79, 0.9200, 0.0, 127.86),
    "ibm_hfp": (0.4962, 0.0, 135.98, 0.5340, 0.0, 144.01),
    "afp": (1.0, 0.0131, 37.47, 1.0, 0.0102, 37.51),
}


def test_what_rounding_does_to_normal_weights_is_as_measured_elsewhere():
    normal = torch.randn(1 << 18, generator=torch.Generator().manual_seed(0))
    for name, figures in FIGURES.items():
        for sigma, wanted in ((1.0, figures[:3]), (0.02, figures[3:])):
            x = normal * sigma
            y = quantize(x, name)
            noise = (x.double() - y.double()).square().mean()
            found = (
                (y != x).float().mean(),
                (y == 0).float().mean(),
                10 * (x.double().square().mean() / noise).log10(),
            )
            assert found[0].item() == pytest.approx(wanted[0], abs=0.004), name
            assert found[1].item() == pytest.approx(wanted[1], abs=0.004), name
            assert found[2].item() == pytest.approx(wanted[2], abs=0.4 if name == "ibm_hfp" else 0.15), name
