"""Scales that are no single factor of a whole tensor or block: two levels, zero points, powers of ten."""

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import cache
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from kernels.formats import Format, Switches, format_named
from kernels.kinds import decimal, kind_of

Work = Callable[[Format, Tensor, Switches, Tensor | None], Tensor]
"""(format, x, switches, random_bits) -> Q(x), elementwise."""

E4M3_LARGEST, E2M1_LARGEST = 448.0, 6.0
"""Of the scale and of the element of NVFP4."""

LEAST_SCALE = 2.0**-6
"""The least scale of an NVFP4 block: the smallest normal value of E4M3."""


def two_level(amax: Tensor, block_amax: Tensor) -> Tensor:
    """S = b t of each block: t = amax / (448 * 6) for the tensor, b = E4M3((block_amax / 6) / t), 2^-6 <= b <= 448."""
    t = amax / (E4M3_LARGEST * E2M1_LARGEST)
    e4m3 = format_named("fp8_e4m3")
    b = kind_of(e4m3).fast(e4m3, ((block_amax / E2M1_LARGEST) / t).clamp(LEAST_SCALE, E4M3_LARGEST), Switches())
    return torch.where(b * t > 0, b * t, torch.ones_like(b))


def affine(format: Format, x: Tensor, switches: Switches, axis: int, random_bits: Tensor | None, work: Work) -> Tensor:
    """(code - zero) S with code = clip(rint(x / S) + zero, 0, N), S = (max - min) / N, zero = rint(-min / S).

    The range always includes zero, which is therefore exact and whose code fits. Class B is computed in float64.
    """
    row: Any = format.parameters
    high = row["high"]
    wide = x.double() if format.precision_class == "B" else x
    end = torch.finfo(x.dtype).max
    known = wide.nan_to_num(0.0, end, -end)
    dims, keep = ((axis,), True) if switches.scaling == "row" and x.ndim else ((), False)
    least, most = known.amin(dims, keep).clamp(max=0), known.amax(dims, keep).clamp(min=0)
    s = (most / 2 - least / 2) / high * 2
    s = torch.where(s > 0, s, torch.ones_like(s))
    zero = (-least / s).round()
    signed = replace(format, parameters=MappingProxyType({**row, "low": -high}))
    code = work(signed, wide / s, switches, random_bits)
    clipped = torch.minimum(torch.maximum(code + zero, torch.zeros_like(zero)), torch.full_like(zero, high))
    return ((clipped - zero) * s).to(x.dtype)


def tens(format: Format, x: Tensor, amax: Tensor, switches: Switches, random_bits: Tensor | None, work: Work) -> Tensor:
    """n 10^k with one k for all that share an amax: the least with amax <= (10^digits - 1) 10^k."""
    row: Any = format.parameters
    k = torch.bucketize(amax.double().contiguous(), held_by(row["digits"], x.device)) - decimal.REACH
    y = x
    for value in torch.unique(k).tolist():
        shared = replace(format, parameters=MappingProxyType({**row, "exponent": value}))
        y = torch.where(k == value, work(shared, x, switches, random_bits), y)
    return y


@cache
def held_by(digits: int, device: torch.device) -> Tensor:
    """The greatest float64 that is at most (10^digits - 1) 10^k, for k from -REACH to REACH - digits."""
    most = [(10**digits - 1) * Fraction(10) ** k for k in range(-decimal.REACH, decimal.REACH - digits)]
    near = [float(end) for end in most]
    held = [math.nextafter(x, 0) if Fraction(x) > end else x for x, end in zip(near, most, strict=True)]
    return torch.tensor(held, dtype=torch.float64, device=device)
