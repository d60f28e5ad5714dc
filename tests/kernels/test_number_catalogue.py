"""What the pages that define the formats say of their ends and of how many values they have."""

from fractions import Fraction

import pytest
import torch

from errors import UnknownName
from kernels.formats import format_named, formats
from kernels.kinds import kind_of
from kernels.quantize import quantize

TWO = Fraction(2)

FACTS = {  # largest, smallest positive, how many values
    "posit8": (TWO**24, TWO**-24, 255),
    "posit16": (TWO**56, TWO**-56, 65535),
    "posit8_es0": (64, Fraction(1, 64), 255),
    "posit16_es1": (TWO**28, TWO**-28, 65535),
    "tapered_fp": (TWO**254 * Fraction(31, 16), TWO**-255 * Fraction(17, 16), 65535),
    "lns8": (2 ** (63 / 8), 2 ** (-63 / 8), 255),
    "lns16": (2 ** (16383 / 1024), 2 ** (-16383 / 1024), 65535),
    "unum2": (224, 1 / 224, 127),
    "nf4": (1, 0.07958029955625534, 16),
    "nf8": (1, None, 256),
    "gfternary": ((1 + 5**0.5) / 2, (1 + 5**0.5) / 2, 3),
    "int4": (7, 1, 15),
    "int8": (127, 1, 255),
    "int16": (32767, 1, 65535),
    "q7": (1 - TWO**-7, TWO**-7, 256),
    "q15": (1 - TWO**-15, TWO**-15, 65536),
    "bcd": (999, 1, 1999),
    "bcd8": (9, 1, 19),
}


def test_ends_and_sizes_of_the_formats_are_those_of_their_definitions():
    for name, (largest, smallest, count) in FACTS.items():
        kind = kind_of(formats[name])
        values = torch.tensor([float(v) for v in kind.values(formats[name])], dtype=torch.float64)
        assert len(values) == count and (values.diff() > 0).all() and values[-1] == float(kind.largest(formats[name]))
        assert values[-1].item() == pytest.approx(float(largest), rel=1e-7), name
        assert smallest is None or values[values > 0][0].item() == pytest.approx(float(smallest), rel=1e-7), name


def test_ends_of_the_formats_that_are_too_many_to_list():
    ends = {"posit32": 2.0**120, "decimal32": 9.999999e96, "int32": 2.0**31 - 1, "q31": 1 - 2.0**-31}
    for name, end in ends.items():
        x = torch.tensor([1e300, float("inf")], dtype=torch.float64)
        assert quantize(x, name, scaling="none").tolist() == [end, end]
    assert kind_of(formats["takum32"]).largest(formats["takum32"]) == TWO**254 * (2 - TWO**-20)
    assert quantize(torch.tensor([1e-101, 4e-102], dtype=torch.float64), "decimal32").tolist() == [1e-101, 0.0]


def test_bits_a_value_count_the_scales_of_blocks():
    for name in ("mxfp8", "mxfp8_e5m2", "mxfp6", "mxfp6_e2m3", "mxfp4", "mxint8"):
        assert formats[name].bits == int(formats[name].bits) + 8 / 32 and formats[name].block == 32
    assert [formats[name].bits for name in ("nf4", "nvfp4", "block_fp", "block_fp_m3")] == [4.5, 4.5, 8.5, 4.5]


def test_names_are_exact_and_other_spellings_are_refused_with_the_nearest():
    assert format_named("mxfp4_e2m1").id == "mxfp4" and format_named("takum16").id == "tapered_fp"
    for name in ("POSIT8", "posit 8", "posit８", "mxfp4_floor", "nf5"):
        with pytest.raises(UnknownName):
            format_named(name)
