"""Logarithmic numbers: the Triton form of `kernels.kinds.logarithmic` and `kernels.logarithms`."""

from collections.abc import Mapping
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.bit_strings import LAYOUTS
from kernels.elementwise_triton import load, random_bits, store
from kernels.formats import Format, Switches
from kernels.kinds.logarithmic import FINEST
from kernels.kinds.logarithmic import tables as octave
from kernels.kinds.posit_triton import carrier_constants
from kernels.logarithms import COARSE, held, pair_tables
from kernels.powers_triton import product


@triton.jit
def valued(code, octave, F: tl.constexpr, P: tl.constexpr, LIMIT: tl.constexpr):
    """`kernels.kinds.logarithmic.valued`, as patterns."""
    pattern = tl.load(octave + (code & ((1 << F) - 1))) + ((code >> F) << P)
    return tl.where(code < -LIMIT, 0, pattern).to(pattern.dtype)


@triton.jit
def coarse(a, r, octave, before, cuts, carrier: tl.constexpr, F: tl.constexpr, P: tl.constexpr, BIAS: tl.constexpr,
           LIMIT: tl.constexpr, ROUNDING: tl.constexpr):  # fmt: skip
    """Patterns of magnitudes, rounded with the tables of one octave."""
    field = a & ((1 << P) - 1)
    part = field >> (P - F - 1)
    code = (((a >> P) - BIAS) << F) + tl.load(before + part) + (field >= tl.load(cuts + part)).to(a.dtype)
    code = tl.minimum(tl.maximum(code, -LIMIT - 1), LIMIT)
    found = valued(code, octave, F, P, LIMIT)
    if ROUNDING == "sr":
        above = valued(tl.minimum(code + 1, LIMIT), octave, F, P, LIMIT)
        low = found.to(carrier, bitcast=True).to(tl.float64)
        high = above.to(carrier, bitcast=True).to(tl.float64)
        x = a.to(carrier, bitcast=True).to(tl.float64)
        found = tl.where(x - low > r.to(tl.float64) * 5.9604644775390625e-08 * (high - low), above, found)
    return found


@triton.jit
def power(code, high, low, fine_high, fine_low, REST: tl.constexpr):
    """`kernels.logarithms._power`: the sum of two float64."""
    i = (code >> REST) + 1
    j = code & ((1 << REST) - 1)
    a = tl.load(high + i)
    b = tl.load(fine_high + j)
    p, e = product(a, b)
    e += a * tl.load(fine_low + j) + tl.load(low + i) * b
    total = p + e
    return total, e - (total - p)


@triton.jit
def fine(x, high, low, value_high, value_low, tie_high, tie_low, F: tl.constexpr, REST: tl.constexpr,
         LIMIT: tl.constexpr, HELD: tl.constexpr, ROUNDING: tl.constexpr):  # fmt: skip
    """`kernels.logarithms.fine` of float64 magnitudes, -> float64."""
    u = x.to(tl.int64, bitcast=True)
    normal = (u >> 52 > 0) & (u >> 52 < 2047)
    m = tl.where(normal, (u & ((1 << 52) - 1)) | (1023 << 52), 1023 << 52).to(tl.float64, bitcast=True)
    near = tl.floor(tl.log2(m) * (1 << F) + 0.5).to(tl.int64)
    if ROUNDING == "rne":
        tie, rest = power(near, high, low, tie_high, tie_low, REST)
        before, before_rest = power(near - 1, high, low, tie_high, tie_low, REST)
        up = ((m - tie) - rest >= 0).to(tl.int64)
        code = near + up - ((m - before) - before_rest < 0).to(tl.int64)
    else:
        value, rest = power(near, high, low, value_high, value_low, REST)
        code = near - (value + rest > m).to(tl.int64)
    code += ((u >> 52) - 1023) << F
    code = tl.minimum(tl.maximum(tl.where(u >> 52 == 0, -LIMIT - 1, code), -LIMIT - 1), HELD)
    code = tl.where(u >> 52 == 2047, HELD, code)
    octave, rest = power(code & ((1 << F) - 1), high, low, value_high, value_low, REST)
    found = (octave + rest).to(tl.int64, bitcast=True) + ((code >> F) << 52)
    return tl.where(code < -LIMIT, 0, found).to(tl.float64, bitcast=True)


@triton.jit
def kernel(
    x, y, s, bits, table, elements, offset, seed, step_low, step_high,
    BLOCK: tl.constexpr, TENSORS: tl.constexpr, SCALED: tl.constexpr, GIVEN: tl.constexpr, ALIGNED: tl.constexpr,
    octave, before, cuts, high, low, value_high, value_low, tie_high, tie_low,
    P: tl.constexpr, BIAS: tl.constexpr, INTEGER: tl.constexpr, SIGN: tl.constexpr, INFINITY: tl.constexpr,
    F: tl.constexpr, REST: tl.constexpr,
    LIMIT: tl.constexpr, HELD: tl.constexpr, ROUNDING: tl.constexpr, MOST: tl.constexpr,
):  # fmt: skip
    """One block. REST: bits of a code beyond the first table, 0 where one table holds an octave."""
    given, to, inside, number, scale = load(x, y, s, table, elements, offset, BLOCK, TENSORS, SCALED, ALIGNED)
    u = given.to(INTEGER, bitcast=True)
    r = u
    if ROUNDING == "sr":
        r = random_bits(bits, number, inside, seed, step_low, step_high, BLOCK, GIVEN)
    a = u & (SIGN - 1)
    if REST > 0:
        wide = a.to(given.dtype, bitcast=True).to(tl.float64)
        found = fine(wide, high, low, value_high, value_low, tie_high, tie_low, F, REST, LIMIT, HELD, ROUNDING)
        found = found.to(given.dtype).to(INTEGER, bitcast=True)
    else:
        found = coarse(a, r, octave, before, cuts, given.dtype, F, P, BIAS, LIMIT, ROUNDING)
    found = tl.where(found == 0, 0, found | (u & -SIGN))
    found = tl.where(a > INFINITY, u, found).to(INTEGER)
    store(to, found.to(given.dtype, bitcast=True), inside, scale, SCALED, MOST)


def constants(format: Format, switches: Switches, carrier: torch.dtype) -> Mapping[str, Any]:
    """What the kernel compiles in. Products of pairs must not be fused with sums."""
    row: Any = format.parameters
    f, wide = row["fraction"], row["fraction"] > FINEST
    return {
        **carrier_constants(switches, carrier),
        "BIAS": LAYOUTS[carrier].bias,
        "F": f,
        "REST": f - COARSE if wide else 0,
        "LIMIT": row["limit"],
        "HELD": held(carrier, f, row["limit"]) if wide else 0,
        "enable_fp_fusion": False,
    }


def tables(format: Format, switches: Switches, x: Tensor) -> Mapping[str, Tensor]:
    """What the kernel reads, on the device of x."""
    f: Any = format.parameters["fraction"]
    names = ("octave", "before", "cuts", "high", "low", "value_high", "value_low", "tie_high", "tie_low")
    if f > FINEST:
        (high, low), values = pair_tables(f, False, x.device)
        _, ties = pair_tables(f, True, x.device)
        return dict(zip(names, (x, x, x, high, low, *values, *ties), strict=True))
    before, cuts, powers = octave(f, x.dtype, switches.rounding == "rne", x.device)
    return dict(zip(names, (powers, before, cuts, *[x] * 6), strict=True))
