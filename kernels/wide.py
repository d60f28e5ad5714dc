"""Wide formats: values held as expansions of float64, and the rounding of an exact sum to the format.

What needs 54 bits and more fits in two float64 (class C) or in as many as its bits take (class D). Exponents stay those
of float64, which weights do not leave.
"""

import torch
from torch import Tensor

from kernels.expansions import Expansion, exponents, power, to_bits, to_multiple
from kernels.formats import Format

BITS = 53
"""Of a float64."""


def parts_of(format: Format) -> int:
    """How many float64 hold a value of a float, a posit or an expansion."""
    if format.kind == "expansion":
        return int(str(format.parameters["components"]))
    return -(-largest_bits(format) // BITS)


def largest_bits(format: Format) -> int:
    """Significant bits of the format where it has most."""
    if format.kind == "floating":
        return int(str(format.parameters["M"])) + 1
    if format.kind == "hexadecimal":
        return 4 * int(str(format.parameters["digits"]))
    assert format.kind == "posit", f"the quantum of {format.kind} does not follow from the exponent alone"
    return int(str(format.parameters["n"])) - 2 - int(str(format.parameters["es"]))


def to_format(format: Format, parts: Expansion, count: int) -> tuple[Expansion, Tensor]:
    """A normal expansion to the format's nearest value, ties to even -> (`count` parts, where it was changed)."""
    if format.kind == "expansion":
        left = torch.stack(parts[count:]).abs().sum(0) if len(parts) > count else torch.zeros_like(parts[0])
        return parts[:count], left != 0
    if format.kind == "floating":
        return to_bits(parts, largest_bits(format), count)
    return to_multiple(parts, power(quantum(format, exponents(parts))), count)


def quantum(format: Format, e: Tensor) -> Tensor:
    """Exponent of the distance of neighbours at exponent e, for bits that depend on it.

    Hexadecimal: digits count in fours. Posit: what the regime and the exponent bits leave (Posit Standard 2022).
    """
    if format.kind == "hexadecimal":
        return 4 * (torch.div(e, 4, rounding_mode="floor") + 1 - int(str(format.parameters["digits"])))
    n, es = (int(str(format.parameters[name])) for name in ("n", "es"))
    k = e >> es
    regime = torch.where(k >= 0, k + 2, 1 - k)
    return e - (n - 1 - regime - es)
