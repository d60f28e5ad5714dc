"""How formats are computed: one module a kind, named as the kind.

`kernels/kinds/NAME.py` is the definition, exact arithmetic on one number at a time, with the PyTorch form of the same
function beside it. `NAME_triton.py` holds the Triton form. All agree bit for bit.

A number is a Fraction, or one of the floats inf, -inf, nan and -0.0.
"""

import importlib
import math
from fractions import Fraction
from typing import Protocol, cast

import torch
from torch import Tensor

from kernels.formats import Format, Switches

Number = Fraction | float

RANDOM_BITS = 24
"""Stochastic rounding compares a fraction with this many random bits: a probability is exact to 2^-24."""


class Kind(Protocol):
    """What the module of a kind holds. The rounding of `switches` is never `native`: see `settled`."""

    def values(self, format: Format) -> list[Fraction]:
        """Every finite value, sorted. For formats of at most 16 bits."""

    def largest(self, format: Format) -> Fraction:
        """The largest finite value."""

    def exact(self, format: Format, x: Number, switches: Switches, random: Fraction | None = None) -> Number:
        """The definition: the value that the format gives for one number, unscaled. random: 0 <= random < 1, for sr."""

    def fast(self, format: Format, x: Tensor, switches: Switches, random_bits: Tensor | None = None) -> Tensor:
        """The same for a tensor, float32 or float64. random_bits: int32 of x's shape, 0 <= bits < 2^24, for sr."""


def kind_of(format: Format) -> Kind:
    """The code of a format's kind."""
    return cast(Kind, importlib.import_module(f"kernels.kinds.{format.kind}"))


def settled(format: Format, switches: Switches) -> Switches:
    """The switches with `native` replaced by the rounding that it means for this format."""
    if switches.rounding != "native":
        return switches
    native = str(format.parameters["native"])
    return Switches(rounding=native, overflow=switches.overflow, underflow=switches.underflow, scaling=switches.scaling)


def exponent(a: Fraction) -> int:
    """floor(log2 a) of a > 0, by integers."""
    e = a.numerator.bit_length() - a.denominator.bit_length()
    return e if a >= Fraction(2) ** e else e - 1


def rounded(t: Fraction, rounding: str, random: Fraction | None) -> int:
    """t >= 0 to one of the two integers beside it. Under sr it goes up when its fraction is greater than random."""
    low = math.floor(t)
    rest = t - low
    if rounding == "sr":
        assert random is not None, "stochastic rounding needs random numbers"
        return low + (rest > random)
    half = Fraction(1, 2)
    up = {"rne": rest > half or (rest == half and low % 2 == 1), "rna": rest >= half, "rtz": False}
    return low + up[rounding]


def defined(format: Format, x: Tensor, switches: Switches, random_bits: Tensor | None = None) -> Tensor:
    """What `Kind.fast` gives, by the definition, one element at a time."""
    kind = kind_of(format)
    bits = random_bits.flatten().tolist() if random_bits is not None else [None] * x.numel()
    found = []
    for value, bit in zip(x.flatten().tolist(), bits, strict=True):
        plain = math.isfinite(value) and value != 0
        number: Number = (
            Fraction(value) if plain else (value if value != 0 or math.copysign(1, value) < 0 else Fraction(0))
        )
        random = None if bit is None else Fraction(bit, 1 << RANDOM_BITS)
        found.append(held(format, kind.exact(format, number, switches, random), switches, x.dtype))
    return torch.tensor(found, dtype=torch.float64).to(x.dtype).reshape(x.shape)


def held(format: Format, value: Number, switches: Switches, carrier: torch.dtype) -> float:
    """A value as the carrier holds it: its nearest number.

    A largest value that the carrier lacks becomes the next number towards zero in a kind that is `closed`. One beyond
    the carrier's range becomes the largest of the format that the carrier holds, or infinity under `ieee`.
    """
    if isinstance(value, float):
        return value
    end = Fraction(torch.finfo(carrier).max)
    if abs(value) <= end:
        kind = kind_of(format)
        near = torch.tensor(float(value), dtype=torch.float64).to(carrier)
        if getattr(kind, "closed", False) and abs(value) == kind.largest(format) < abs(Fraction(near.item())):
            near = torch.nextafter(near, torch.zeros_like(near))
        return float(near.item())
    sign = -1.0 if value < 0 else 1.0
    if switches.overflow == "ieee":
        return sign * math.inf
    within = kind_of(format).exact(format, end, Switches(rounding="rtz", underflow=switches.underflow))
    return sign * float(within)
