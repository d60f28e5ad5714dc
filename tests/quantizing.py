"""What tests of number formats share: decoders of their own, and numbers that are hard to round."""

import itertools
import math

import torch

from kernels.formats import formats

SPECIAL = (0.0, -0.0, math.inf, -math.inf, math.nan, 1e-45, -1e-45, 1e-40, 3.4e38)

LAYOUTS = {  # id: exponent bits, fraction bits, bias, codes, finite reals, largest, smallest positive
    "fp16": (5, 10, 15, "ieee", 63487, 65504.0, 2.0**-24),
    "bf16": (8, 7, 127, "ieee", 65279, (2 - 2.0**-7) * 2.0**127, 2.0**-133),
    "tf32": (8, 10, 127, "ieee", 522239, (2 - 2.0**-10) * 2.0**127, 2.0**-136),
    "fp8_e4m3": (4, 3, 7, "fn", 253, 448.0, 2.0**-9),
    "fp8_e5m2": (5, 2, 15, "ieee", 247, 57344.0, 2.0**-16),
    "fp6_e3m2": (3, 2, 3, "finite", 63, 28.0, 2.0**-4),
    "fp6_e2m3": (2, 3, 1, "finite", 63, 7.5, 2.0**-3),
    "fp4_e2m1": (2, 1, 1, "finite", 15, 6.0, 0.5),
    "minifloat": (4, 3, 7, "ieee", 239, 240.0, 2.0**-9),
    "fp8_e3m4": (3, 4, 3, "ieee", 223, 15.5, 2.0**-6),
    "fp8_e4m3fnuz": (4, 3, 8, "fnuz", 255, 240.0, 2.0**-10),
    "fp8_e5m2fnuz": (5, 2, 16, "fnuz", 255, 57344.0, 2.0**-17),
    "fp8_e4m3b11fnuz": (4, 3, 11, "fnuz", 255, 30.0, 2.0**-13),
    "gf4": (1, 2, 0, "finite", 15, 3.5, 0.5),
    "gf8": (3, 4, 3, "flushed", 193, 15.5, 0.25),
    "gf12": (4, 7, 7, "flushed", 3585, 255.0, 2.0**-6),
    "gf16": (6, 9, 31, "flushed", 63489, 4290772992.0, 2.0**-30),
    "gf20": (7, 12, 63, "flushed", 1032193, (2 - 2.0**-12) * 2.0**63, 2.0**-62),
    "gf8_grad": (3, 4, 3, "ieee", 223, 15.5, 2.0**-6),
    "gf12_grad": (4, 7, 7, "ieee", 3839, 255.0, 2.0**-13),
    "gf16_grad": (6, 9, 31, "ieee", 64511, 4290772992.0, 2.0**-39),
    "dlfloat16": (6, 9, 31, "dlfloat", 65533, 8573157376.0, 2.0**-31 * (1 + 2.0**-9)),
    "unum1": (4, 8, 7, "fn", 8189, 510.0, 2.0**-14),
}
"""Of the formats of at most 20 bits with a power of two of exponents."""

FLOATS = [
    name
    for name, f in formats.items()
    if f.kind in ("floating", "hexadecimal") and f.block is None and f.precision_class not in ("C", "D")
]
"""Floats that tensors of float32 and float64 can hold."""


def decoded(name):
    """The value of every code without sign, by its fields, as float64."""
    E, M, bias, codes = LAYOUTS[name][:4]
    code = torch.arange(1 << (E + M))
    e, f = (code >> M).double(), (code & ((1 << M) - 1)).double() / 2.0**M
    normal = torch.pow(torch.tensor(2.0, dtype=torch.float64), e - bias) * (1 + f)
    value = torch.where(e == 0, 2.0 ** (1 - bias) * f, normal)
    if codes == "flushed":
        value[e == 0] = 0.0
    if codes == "dlfloat":
        value = normal
        value[0] = 0.0
    if codes in ("ieee", "flushed"):
        value[e == (1 << E) - 1] = math.nan
        value[((1 << E) - 1) << M] = math.inf
    if codes in ("fn", "dlfloat"):
        value[-1] = math.nan
    return value


def finite(name):
    """Every finite value at least zero, ascending, once."""
    value = decoded(name)
    return value[value.isfinite()].unique()


def hard_numbers(values, carrier=torch.float32):
    """Values, midpoints, what is beyond the ends, their neighbours in the carrier, and special numbers."""
    ends = values[[0, -1]]
    points = torch.cat([values, (values[1:] + values[:-1]) / 2, ends * 1.0625, ends * 4]).to(carrier)
    inf = torch.tensor(math.inf, dtype=carrier)
    return torch.cat([points, points.nextafter(inf), points.nextafter(-inf), torch.tensor(SPECIAL, dtype=carrier)])


def patterns(count, carrier=torch.float32, seed=0):
    """Numbers with random bits."""
    whole = torch.int32 if carrier == torch.float32 else torch.int64
    end = torch.iinfo(whole)
    random = torch.Generator().manual_seed(seed)
    return torch.randint(end.min, end.max, (count,), dtype=whole, generator=random).view(carrier)


def mixed(carrier=torch.float32, count=40):
    """A few of everything: random bits, ties, subnormals, weights, special numbers."""
    random = torch.Generator().manual_seed(count)
    powers = 2.0 ** torch.randint(-40, 40, (count,), generator=random).double()
    ties = (torch.randint(-64, 64, (count,), generator=random) * powers).to(carrier)
    whole = torch.int32 if carrier == torch.float32 else torch.int64
    tiny = torch.randint(1, 1 << 22, (count // 4,), generator=random).to(whole).view(carrier)
    normal = torch.randn(count, dtype=carrier, generator=random) * torch.logspace(-3, 2, count, dtype=carrier)
    end = torch.finfo(carrier).max
    special = torch.tensor([*SPECIAL, end, -end, torch.finfo(carrier).tiny], dtype=carrier)
    return torch.cat([patterns(count, carrier), ties, tiny, normal, special])


def wrong(found, expected):
    """Where the bits differ; any NaN equals any NaN."""
    whole = torch.int32 if found.dtype == torch.float32 else torch.int64
    return (found.view(whole) != expected.view(whole)) & ~(found.isnan() & expected.isnan())


def same_bits(found, expected):
    """Whether no bit differs; any NaN equals any NaN."""
    return found.shape == expected.shape and not wrong(found, expected).any()


def choices(format, *switches):
    """Every combination of what a format admits of some switches, as keyword arguments."""
    for values in itertools.product(*(format.admits[switch] for switch in switches)):
        yield dict(zip(switches, values, strict=True))
