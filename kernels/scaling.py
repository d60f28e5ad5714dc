"""Scales: x is quantised as S * Q(x / S), with one S for the tensor, a row or a block.

pow2: S = 2^(e(amax) - e(top)), exponents from bits; both steps are exact, away from the carrier's underflow. amax:
S = amax / top, IEEE division and one multiplication, in that order. row: as amax, along `axis`. block: as pow2, for
blocks along `axis`; a tail shorter than a block is its own block. top is the format's largest value, or its row's
`aim`: tapered formats are finest at one, so there amax goes. Infinities count as the carrier's largest number, NaN not
at all, and zeros alone have S = 1.

A row's `scale` says what its scales are where they are not these: floor, ceil, even, rceil (`MICRO`), absmax (amax for
blocks), and in `kernels.odd_scales` two_level (NVFP4), affine (with a zero point), ten (powers of ten).
"""

import math
from fractions import Fraction
from functools import cache

import torch
from torch import Tensor

from kernels import odd_scales
from kernels.bit_strings import LAYOUTS
from kernels.formats import Format, Switches
from kernels.kinds import exponent, held, kind_of
from kernels.odd_scales import Work

MICRO = ("floor", "ceil", "even", "rceil")
"""How an MX format gets its scale 2^X, -127 <= X <= 127, from the largest magnitude a of a block.

floor: X = e(a) - emax (the standard). ceil: one more where a is not a power of two. even: e of a rounded to the
element's precision, ties up. rceil: 2^X is a / largest, rounded up to a power of two. A NaN makes its block NaN.
"""

PIECE = 1 << 16
"""Elements in blocks that a CPU takes at once: what is made of them fits a cache of a few MiB."""

BLOCK = 32
"""Values under one scale where the format does not say."""


def scaled(format: Format, x: Tensor, switches: Switches, axis: int, random_bits: Tensor | None, work: Work) -> Tensor:
    """S * Q(x / S) under the scaling of `switches`, with `work` as Q."""
    how = format.parameters.get("scale")
    if switches.scaling == "none" or x.numel() == 0:
        return work(format, x, switches, random_bits)
    if how == "affine":
        return odd_scales.affine(format, x, switches, axis, random_bits, work)
    if how == "ten":
        amax = largest_magnitude(x, axis if switches.scaling == "row" else None)
        return odd_scales.tens(format, x, amax, switches, random_bits, work)
    if switches.scaling != "block":
        s = scale(format, x, switches.scaling, axis)
        return within(work(format, x / s, switches, random_bits) * s, switches)
    size = format.block or BLOCK
    blocks, bits = cut(x, size, axis), None if random_bits is None else cut(random_bits, size, axis)
    level = largest_magnitude(x) if how == "two_level" else None
    rows = max(PIECE // size, 1) if x.device.type == "cpu" else len(blocks)
    pieces = []
    for start in range(0, len(blocks), rows):
        piece = blocks[start : start + rows]
        s = block_scale(format, piece, level)
        drawn = None if bits is None else bits[start : start + rows]
        pieces.append(within(work(format, piece / s, switches, drawn) * s, switches))
    return joined(torch.cat(pieces) if len(pieces) > 1 else pieces[0], x, axis)


def within(y: Tensor, switches: Switches) -> Tensor:
    """y, in place; under `sat` what S took past the carrier's largest number is that number."""
    end = torch.finfo(y.dtype).max
    return y.clamp_(-end, end) if switches.overflow == "sat" else y


def reach(format: Format, x: Tensor, switches: Switches, axis: int) -> Tensor:
    """The largest magnitude that does not saturate, of a shape that broadcasts against x."""
    largest = torch.tensor(held(format, kind_of(format).largest(format), Switches(), x.dtype), dtype=x.dtype)
    if switches.scaling == "none" or x.numel() == 0:
        return largest.to(x.device)
    if format.parameters.get("scale") in ("affine", "ten"):
        return torch.full_like(x.abs().amax(), math.inf)  # these scales fit the whole range
    if switches.scaling != "block":
        return scale(format, x, switches.scaling, axis) * largest
    blocks = cut(x, format.block or BLOCK, axis)
    return joined((block_scale(format, blocks, largest_magnitude(x)) * largest).expand_as(blocks), x, axis)


def scale(format: Format, x: Tensor, scaling: str, axis: int = -1) -> Tensor:
    """S of pow2, amax and row, of a shape that broadcasts against x."""
    if scaling == "pow2":
        return power_scale(format, largest_magnitude(x))
    top, _ = aim(format, x.dtype)
    amax = largest_magnitude(x, axis) if scaling == "row" else largest_magnitude(x)
    s = amax / top
    return torch.where(s > 0, s, torch.ones_like(s))


def block_scale(format: Format, blocks: Tensor, level: Tensor | None) -> Tensor:
    """S of each block, [blocks, 1]. level: the largest magnitude of the tensor, where there are two levels."""
    how = format.parameters.get("scale", "")
    if how in (*MICRO, "two_level"):
        layout = LAYOUTS[blocks.dtype]
        u = blocks.abs().view(layout.integer).amax(-1, keepdim=True)  # of patterns; those of NaN are the largest
        amax = u.clamp(max=layout.infinity - 1).view(blocks.dtype)
        s = micro_scale(format, amax) if level is None or how in MICRO else odd_scales.two_level(level, amax)
        return torch.where(u > layout.infinity, torch.full_like(s, math.nan), s)
    amax = largest_magnitude(blocks, -1)
    if how == "absmax":
        return torch.where(amax > 0, amax, torch.ones_like(amax))
    return power_scale(format, amax)


def largest_magnitude(x: Tensor, axis: int | None = None) -> Tensor:
    """max |x|, by patterns: of all (axis None) or along an axis that stays. See the module for infinities and NaN."""
    layout = LAYOUTS[x.dtype]
    u = x.abs().view(layout.integer)
    u = torch.where(u > layout.infinity, torch.zeros_like(u), u).clamp(max=layout.infinity - 1)
    return (u.max() if axis is None else u.amax(axis, keepdim=True)).view(x.dtype)


@cache
def aim(format: Format, carrier: torch.dtype) -> tuple[float, int]:
    """Where scaling puts amax, and the exponent of that, within the carrier."""
    top = Fraction(format.parameters.get("aim", kind_of(format).largest(format)))  # type: ignore[arg-type]
    top = min(top, Fraction(torch.finfo(carrier).max))
    return float(top), exponent(top)


def power_scale(format: Format, amax: Tensor) -> Tensor:
    """2^(e(amax) - e(top)); 1 where amax is zero."""
    layout = LAYOUTS[amax.dtype]
    _, e = aim(format, amax.dtype)
    u = amax.view(layout.integer)
    s = power_of_two((u >> layout.fraction) - layout.bias - e, amax.dtype)
    return torch.where(u > 0, s, torch.ones_like(s))


def micro_scale(format: Format, amax: Tensor) -> Tensor:
    """2^X of an MX block, see `MICRO`; 1 for zeros."""
    how, layout = format.parameters["scale"], LAYOUTS[amax.dtype]
    P, B = layout.fraction, layout.bias
    top, e = aim(format, amax.dtype)
    u = (amax / top if how == "rceil" else amax).view(layout.integer)
    tiny = (u >> P) == 0  # subnormal numbers count where they lie above 2^(1 - B) / 2, the least scale
    if how == "even":
        u = u + ((1 << (P - 1 - fraction_bits(format))) >> tiny.to(u.dtype))
    X = (u >> P) - B - (0 if how == "rceil" else e)
    if how in ("ceil", "rceil"):
        X = X + (u & ((1 << P) - 1) > (tiny.to(u.dtype) << (P - 1))).to(X.dtype)
    return torch.where(amax > 0, power_of_two(X.clamp(-127, 127), amax.dtype), torch.ones_like(amax))


def fraction_bits(format: Format) -> int:
    """Bits after the leading one of an element as great as the largest."""
    return format.fraction_bits or int(format.parameters["fraction"])  # type: ignore[arg-type]


def power_of_two(X: Tensor, carrier: torch.dtype) -> Tensor:
    """2^X from bits, X cut to what the carrier holds together with its inverse."""
    layout = LAYOUTS[carrier]
    X = X.clamp(-layout.bias, layout.bias)
    least = torch.full_like(X, 1 << (layout.fraction - 1))
    return torch.where(-layout.bias < X, (X + layout.bias) << layout.fraction, least).view(carrier)


def cut(x: Tensor, block: int, axis: int) -> Tensor:
    """x in blocks along an axis -> [blocks, block]: that axis last, its tail filled with zeros."""
    last = x.movedim(axis, -1) if x.ndim else x.reshape(1)
    short = -last.shape[-1] % block
    filled = torch.nn.functional.pad(last, (0, short)) if short else last
    return filled.reshape(-1, block)


def joined(blocks: Tensor, x: Tensor, axis: int) -> Tensor:
    """The inverse of `cut`."""
    if not x.ndim:
        return blocks.flatten()[0]
    moved = x.movedim(axis, -1).shape
    return blocks.reshape(*moved[:-1], -1)[..., : moved[-1]].movedim(-1, axis)
