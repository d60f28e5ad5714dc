"""Code books: the Triton form of `kernels.kinds.codebook`, a binary search over cuts and one gather."""

from collections.abc import Mapping
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.books import Book, drawn_from
from kernels.books import tables as entries
from kernels.elementwise_triton import load, random_bits, store
from kernels.formats import Format, Switches
from kernels.kinds.codebook import book


@triton.jit
def reached(x, cuts, SIZE: tl.constexpr, STEPS: tl.constexpr):
    """How many of the SIZE ascending cuts are at most x; SIZE < 2^STEPS."""
    count = tl.zeros(x.shape, tl.int32)
    for step in tl.static_range(STEPS):
        more = count + (1 << (STEPS - 1 - step))
        cut = tl.load(cuts + tl.minimum(more, SIZE) - 1)
        count = tl.where((more <= SIZE) & (cut <= x), more, count)
    return count


@triton.jit
def looked_up(x, values, cuts, r, SIZE: tl.constexpr, STEPS: tl.constexpr, ROUNDING: tl.constexpr):
    """`kernels.books.looked_up`. Under sr the cuts are the values but the first, in float64."""
    if ROUNDING == "sr":
        wide = tl.minimum(tl.maximum(x.to(tl.float64), tl.load(values)), tl.load(values + SIZE))
        index = reached(wide, cuts, SIZE, STEPS)
        low = tl.load(values + index)
        high = tl.load(values + tl.minimum(index + 1, SIZE))
        above = low >= 0
        inner = tl.where(above, low, high)
        outer = tl.where(above, high, low)
        away = tl.abs(wide - inner) > r.to(tl.float64) * 5.9604644775390625e-08 * tl.abs(outer - inner)
        found = tl.where(wide == low, low, tl.where(away == above, high, low)).to(x.dtype)
    else:
        found = tl.load(values + reached(x, cuts, SIZE, STEPS))
    return tl.where(x != x, x, found)


@triton.jit
def kernel(
    x, y, s, bits, table, elements, offset, seed, step_low, step_high,
    BLOCK: tl.constexpr, TENSORS: tl.constexpr, SCALED: tl.constexpr, GIVEN: tl.constexpr, ALIGNED: tl.constexpr,
    values, cuts, SIZE: tl.constexpr, STEPS: tl.constexpr, ROUNDING: tl.constexpr, MOST: tl.constexpr,
):  # fmt: skip
    """One block."""
    given, to, inside, number, scale = load(x, y, s, table, elements, offset, BLOCK, TENSORS, SCALED, ALIGNED)
    r = given
    if ROUNDING == "sr":
        r = random_bits(bits, number, inside, seed, step_low, step_high, BLOCK, GIVEN)
    store(to, looked_up(given, values, cuts, r, SIZE, STEPS, ROUNDING), inside, scale, SCALED, MOST)


def constants(format: Format, switches: Switches, carrier: torch.dtype) -> Mapping[str, Any]:
    """What the kernel compiles in."""
    most = torch.finfo(carrier).max if switches.overflow == "sat" else 0.0
    return {"ROUNDING": switches.rounding, "MOST": most, **sizes(book(format), carrier, switches.rounding)}


def tables(format: Format, switches: Switches, x: Tensor) -> Mapping[str, Tensor]:
    """What the kernel reads, on the device of x."""
    return book_tables(book(format), x.dtype, switches.rounding, x.device)


def sizes(found: Book, carrier: torch.dtype, rounding: str) -> Mapping[str, int]:
    """Of the tables of a book."""
    size = len(book_tables(found, carrier, rounding, torch.device("cpu"))["cuts"])
    return {"SIZE": size, "STEPS": size.bit_length()}


def book_tables(found: Book, carrier: torch.dtype, rounding: str, device: torch.device) -> Mapping[str, Tensor]:
    """Values and cuts of a book; under sr the values in float64, and again all but the first."""
    if rounding == "sr":
        values = drawn_from(found, carrier, device)
        return {"values": values, "cuts": values[1:]}
    values, cuts = entries(found, carrier, rounding, device)
    return {"values": values, "cuts": cuts}
