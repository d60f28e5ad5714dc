"""Blocks under one scale in one pass: the Triton form of `kernels.scaling.scaled` under scaling `block`.

A program holds ROWS blocks; a row's scale and values come from one read of memory. A tensor is seen as [outer, length,
inner] around the axis of the blocks, so that neighbouring rows are neighbours in memory.
"""

import math
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels import scaling
from kernels.bit_strings import LAYOUTS
from kernels.elementwise_triton import divided
from kernels.formats import Format, Switches
from kernels.kinds import held, kind_of
from kernels.kinds.codebook import book
from kernels.kinds.codebook_triton import book_tables, looked_up, sizes
from kernels.kinds.floating import grid
from kernels.kinds.integer import held_down, unit
from kernels.kinds.integer_triton import whole
from kernels.kinds.posit_triton import carrier_constants
from kernels.odd_scales import E2M1_LARGEST, E4M3_LARGEST, LEAST_SCALE

VALUES = 1024
"""Values that a program holds."""


@triton.jit
def power_of_two(X, P: tl.constexpr, BIAS: tl.constexpr, carrier: tl.constexpr):
    """2^X from bits, -BIAS <= X <= BIAS."""
    pattern = tl.where(X > -BIAS, (X + BIAS) << P, 1 << (P - 1))
    return pattern.to(X.dtype).to(carrier, bitcast=True)


@triton.jit
def on_grid(t, r, M: tl.constexpr, MINIMUM: tl.constexpr, UNIT: tl.constexpr, PER: tl.constexpr, ROUNDING: tl.constexpr,
            P: tl.constexpr, BIAS: tl.constexpr, INTEGER: tl.constexpr):  # fmt: skip
    """Each t as a whole number of quanta: UNIT, or where that is 0 the float's own with M fraction bits."""
    if UNIT > 0:
        return whole(t * PER, r, ROUNDING) * UNIT
    else:
        field = (t.to(INTEGER, bitcast=True) >> P) & (2 * BIAS + 1)
        field = tl.maximum(field, MINIMUM) - M
        quantum = (field << P).to(t.dtype, bitcast=True)
        inverse = ((2 * BIAS - field) << P).to(t.dtype, bitcast=True)
        return whole(t * inverse, r, ROUNDING) * quantum


@triton.jit
def chosen(amax, level, HOW: tl.constexpr, TOP: tl.constexpr, EMAX: tl.constexpr, HALF: tl.constexpr,
           P: tl.constexpr, BIAS: tl.constexpr, INTEGER: tl.constexpr,
           E4M3: tl.constexpr, E2M1: tl.constexpr, LEAST: tl.constexpr):  # fmt: skip
    """S of patterns of block maxima, and 1 / S where S is a power of two (else 0)."""
    a = amax.to(level.dtype, bitcast=True)
    one = tl.full(amax.shape, 1.0, level.dtype)
    if HOW == "absmax":
        return tl.where(amax > 0, a, one), one * 0
    elif HOW == "two_level":
        t = tl.where(level > 0, level + one * 0, one)
        b = divided(divided(a, one * E2M1), t)
        b = tl.minimum(tl.maximum(b, one * LEAST), one * E4M3)
        b = on_grid(b, amax, 3, BIAS - 6, 0, 0, "rne", P, BIAS, INTEGER)
        s = b * level
        return tl.where(s > 0, s, one), one * 0
    else:
        u = amax
        if HOW == "rceil":
            u = divided(a, one * TOP).to(INTEGER, bitcast=True)
        tiny = (u >> P == 0).to(INTEGER)
        if HOW == "even":
            u += (tiny * 0 + HALF) >> tiny
        X = (u >> P) - BIAS - (0 if HOW == "rceil" else EMAX)
        if HOW == "ceil" or HOW == "rceil":
            X += (u & ((1 << P) - 1) > (tiny << (P - 1))).to(INTEGER)
        if HOW != "pow2":
            X = tl.minimum(tl.maximum(X, -127), 127)
        X = tl.minimum(tl.maximum(X, -BIAS), BIAS).to(INTEGER)
        s = tl.where(amax > 0, power_of_two(X, P, BIAS, level.dtype), one)
        return s, tl.where(amax > 0, power_of_two(-X, P, BIAS, level.dtype), one)


@triton.jit
def kernel(
    x, y, bits, levels, values, cuts, blocks, length, inner, rows,
    ROWS: tl.constexpr, BLOCK: tl.constexpr, GIVEN: tl.constexpr, BOOK: tl.constexpr,
    P: tl.constexpr, BIAS: tl.constexpr, INTEGER: tl.constexpr, SIGN: tl.constexpr, INFINITY: tl.constexpr,
    HOW: tl.constexpr, TOP: tl.constexpr, EMAX: tl.constexpr, HALF: tl.constexpr, POISON: tl.constexpr,
    M: tl.constexpr, MINIMUM: tl.constexpr, UNIT: tl.constexpr, PER: tl.constexpr,
    LOW: tl.constexpr, HIGH: tl.constexpr,
    MINUS_ZERO: tl.constexpr, SIZE: tl.constexpr, STEPS: tl.constexpr, ROUNDING: tl.constexpr, MOST: tl.constexpr,
    E4M3: tl.constexpr, E2M1: tl.constexpr, LEAST: tl.constexpr,
):  # fmt: skip
    """ROWS blocks. blocks: along the axis; length: of it; levels: t of NVFP4. POISON: a NaN makes its block NaN."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    first = (row // inner) % blocks * BLOCK
    place = first[:, None] + tl.arange(0, BLOCK)[None, :]
    start = row // inner // blocks * length * inner + row % inner
    at = start[:, None] + place * inner
    inside = (row < rows)[:, None] & (place < length)
    given = tl.load(x + at, mask=inside, other=0.0)
    u = given.to(INTEGER, bitcast=True)
    a = u & (SIGN - 1)
    known = tl.where(a > INFINITY, 0, tl.minimum(a, INFINITY - 1))
    level = tl.load(levels)
    s, inverse = chosen(tl.max(known, axis=1), level, HOW, TOP, EMAX, HALF, P, BIAS, INTEGER, E4M3, E2M1, LEAST)
    size = tl.minimum(a, INFINITY).to(given.dtype, bitcast=True)
    if HOW == "absmax" or HOW == "two_level":
        t = divided(size, tl.broadcast_to(s[:, None], size.shape))
    else:
        t = size * inverse[:, None]
    minus = u < 0
    r = a
    if GIVEN:
        r = tl.load(bits + at, mask=inside, other=0)
    if BOOK:
        found = looked_up(tl.where(minus, -t, t), values, cuts, r, SIZE, STEPS, ROUNDING)
    else:
        low = tl.full(t.shape, -LOW, given.dtype)
        high = tl.full(t.shape, HIGH, given.dtype)
        end = tl.where(minus, low, high)
        found = tl.minimum(on_grid(tl.minimum(t, end), r, M, MINIMUM, UNIT, PER, ROUNDING, P, BIAS, INTEGER), end)
        found = tl.where(minus, -found, found)
        if not MINUS_ZERO:
            found = tl.where(found == 0, 0.0, found)
    found = found * s[:, None]
    most = tl.full(t.shape, MOST, given.dtype)
    found = tl.minimum(tl.maximum(found, -most), most)
    lost = a > INFINITY
    if POISON:
        lost = (tl.max(lost.to(tl.int32), axis=1) > 0)[:, None] | lost
    tl.store(y + at, tl.where(lost, float("nan"), found), mask=inside)


def serves(format: Format, switches: Switches) -> bool:
    """Whether the kernel computes this; other formats in blocks go through `kernels.scaling`."""
    if switches.scaling != "block" or switches.overflow != "sat":
        return False
    if format.kind == "floating":
        g = grid(format)
        return switches.underflow == "grad" and g.bottom == 1 and g.minus_zero and abs(g.emin) + g.emax < 120
    return format.kind in ("integer", "codebook")


def run(x: Tensor, y: Tensor, format: Format, switches: Switches, axis: int, random_bits: Tensor | None) -> None:
    """Write S * Q(x / S) to y. Both are contiguous, with at least one element."""
    axis = axis % max(x.ndim, 1)
    block = format.block or scaling.BLOCK
    length = x.shape[axis] if x.ndim else 1
    inner = math.prod(x.shape[axis + 1 :])
    blocks = triton.cdiv(length, block)
    rows = x.numel() // length * blocks
    constants = block_constants(format, switches, x.dtype)
    level = scaling.largest_magnitude(x) / (E4M3_LARGEST * E2M1_LARGEST) if constants["HOW"] == "two_level" else x
    each = max(VALUES // block, 1)
    tables = {"values": x, "cuts": x}
    if constants["BOOK"]:
        tables = dict(book_tables(book(format), x.dtype, switches.rounding, x.device))
    bits = x if random_bits is None else random_bits.contiguous()
    kernel[(triton.cdiv(rows, each),)](
        x, y, bits, level, **tables, blocks=blocks, length=length, inner=inner, rows=rows,
        ROWS=each, BLOCK=block, GIVEN=random_bits is not None, **constants,
    )  # fmt: skip


def block_constants(format: Format, switches: Switches, carrier: torch.dtype) -> dict[str, Any]:
    """What the kernel compiles in."""
    row: Any = format.parameters
    layout, how = LAYOUTS[carrier], row.get("scale", "pow2")
    top, emax = scaling.aim(format, carrier)
    largest = held(format, kind_of(format).largest(format), Switches(), carrier)
    element: dict[str, Any] = {"M": 0, "MINIMUM": 0, "UNIT": 0.0, "PER": 0.0, "LOW": -largest, "HIGH": largest}
    if format.kind == "floating":
        g = grid(format)
        element |= {"M": g.fraction_bits, "MINIMUM": g.emin + layout.bias}
    elif format.kind == "integer":
        step = float(unit(format))
        element |= {"UNIT": step, "PER": 1 / step, "LOW": step * held_down(row["low"], carrier), "HIGH": largest}
    searched = format.kind == "codebook"
    return {
        **carrier_constants(switches, carrier),
        **element,
        **(sizes(book(format), carrier, switches.rounding) if searched else {"SIZE": 0, "STEPS": 0}),
        "BOOK": searched,
        "BIAS": layout.bias,
        "HOW": how,
        "TOP": top,
        "EMAX": emax,
        "HALF": 1 << (layout.fraction - 1 - scaling.fraction_bits(format)) if how == "even" else 0,
        "POISON": how in (*scaling.MICRO, "two_level"),
        "MINUS_ZERO": format.kind == "floating",
        "E4M3": E4M3_LARGEST,
        "E2M1": E2M1_LARGEST,
        "LEAST": LEAST_SCALE,
    }
