"""Takums: the Triton form of `kernels.kinds.takum`, on integer patterns; short ones by a code book."""

from collections.abc import Mapping
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.bit_strings import LAYOUTS
from kernels.elementwise_triton import load, random_bits, store
from kernels.formats import Format, Switches
from kernels.kinds.codebook_triton import book_tables, looked_up, sizes
from kernels.kinds.posit_triton import carrier_constants, cut, signed
from kernels.kinds.takum import FIELDS, LIFT, bounds, decode, short


@triton.jit
def kernel(
    x, y, s, bits, table, elements, offset, seed, step_low, step_high,
    BLOCK: tl.constexpr, TENSORS: tl.constexpr, SCALED: tl.constexpr, GIVEN: tl.constexpr, ALIGNED: tl.constexpr,
    values, cuts, SIZE: tl.constexpr, STEPS: tl.constexpr,
    P: tl.constexpr, BIAS: tl.constexpr, INTEGER: tl.constexpr, SIGN: tl.constexpr, INFINITY: tl.constexpr,
    N: tl.constexpr, LIFT: tl.constexpr, UP: tl.constexpr, DOWN: tl.constexpr, TINY: tl.constexpr,
    LEAST: tl.constexpr, LIMIT: tl.constexpr, ROUNDING: tl.constexpr, MOST: tl.constexpr,
):  # fmt: skip
    """One block. LIFT: powers of two that subnormal numbers are lifted by, 0 where none are; UP, DOWN: 2^+-LIFT."""
    given, to, inside, number, scale = load(x, y, s, table, elements, offset, BLOCK, TENSORS, SCALED, ALIGNED)
    u = given.to(INTEGER, bitcast=True)
    r = u
    if ROUNDING == "sr":
        r = random_bits(bits, number, inside, seed, step_low, step_high, BLOCK, GIVEN)
    if SIZE > 0:
        tiny = tl.full(given.shape, TINY, given.dtype)
        kept = tl.where(given < 0, tl.minimum(given, -tiny), tl.where(given > 0, tl.maximum(given, tiny), given))
        found = looked_up(kept, values, cuts, r, SIZE, STEPS, ROUNDING)
        found = tl.where(given != given, given, found)
    else:
        a = u & (SIGN - 1)
        tiny = (a >> P == 0) & (LIFT > 0)
        lifted = tl.where(tiny, a.to(given.dtype, bitcast=True), 0.0) * UP
        b = tl.where(tiny, lifted.to(INTEGER, bitcast=True), a)
        b = tl.minimum(tl.maximum(b, LEAST), LIMIT)
        c = (b >> P) - BIAS - tl.where(tiny, LIFT, 0).to(INTEGER)
        size = tl.where(c >= 0, c + 1, -c)
        length = size * 0
        for bit in tl.static_range(1, 8):
            length += (size >= (1 << bit)).to(INTEGER)
        drop = P - (N - 5 - length)
        cutted = tl.minimum(cut(b, drop, (b >> tl.maximum(drop, 0)) & 1, b, r, given.dtype, ROUNDING), LIMIT)
        lowered = tl.where(tiny, cutted.to(given.dtype, bitcast=True), 0.0) * DOWN
        cutted = tl.where(tiny, lowered.to(INTEGER, bitcast=True), cutted)
        found = signed(cutted, u, P, SIGN, INFINITY).to(given.dtype, bitcast=True)
    store(to, found, inside, scale, SCALED, MOST)


def constants(format: Format, switches: Switches, carrier: torch.dtype) -> Mapping[str, Any]:
    """What the kernel compiles in: patterns of the carrier as integers."""
    n = int(format.parameters["n"])  # type: ignore[arg-type]
    small = n < FIELDS
    least, limit = (0, 0) if small else bounds(n, carrier)
    return {
        **carrier_constants(switches, carrier),
        **(sizes(short(n), carrier, switches.rounding) if small else {"SIZE": 0, "STEPS": 0}),
        "BIAS": LAYOUTS[carrier].bias,
        "N": n,
        "LIFT": LIFT if least == 0 else 0,
        "UP": 2.0**LIFT,
        "DOWN": 2.0**-LIFT,
        "TINY": float(decode(n, 1)) if carrier == torch.float64 else 0.0,
        "LEAST": least,
        "LIMIT": limit,
    }


def tables(format: Format, switches: Switches, x: Tensor) -> Mapping[str, Tensor]:
    """What the kernel reads, on the device of x; nothing for long takums."""
    n = int(format.parameters["n"])  # type: ignore[arg-type]
    if n < FIELDS:
        return book_tables(short(n), x.dtype, switches.rounding, x.device)
    return {"values": x, "cuts": x}
