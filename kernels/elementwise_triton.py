"""What elementwise Triton kernels share: reading and writing one or many tensors in one launch, scales, random bits.

The kernel of a kind is `load`, the kind's own arithmetic, `store`; `launch` runs it. A program takes BLOCK elements of
one tensor; several tensors are found through a table of addresses, so that one launch serves a whole optimizer step.
"""

import itertools
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 1024
"""Elements that a program takes."""

EMPTY = 1 << 62
"""First block of the table's unused columns."""


@triton.jit
def load(x, y, s, table, elements, offset, BLOCK: tl.constexpr, TENSORS: tl.constexpr, SCALED: tl.constexpr,
         ALIGNED: tl.constexpr):  # fmt: skip
    """A program's values x / S, where they go, which of them exist, their numbers for random bits, and S.

    The first number of a block is a multiple of four. table: int64 [5, TENSORS] of first blocks, addresses to read,
    addresses to write, sizes and numbers of the first elements; TENSORS is a power of two. ALIGNED: addresses are
    multiples of 16 and numbers of 4.
    """
    program = tl.program_id(0).to(tl.int64)
    which = 0
    if TENSORS > 1:
        first = tl.load(table + tl.arange(0, TENSORS))
        which = tl.sum((first <= program).to(tl.int32), axis=0) - 1
        program -= tl.load(table + which)
        x = tl.load(table + TENSORS + which).to(x.dtype)
        y = tl.load(table + 2 * TENSORS + which).to(y.dtype)
        elements = tl.load(table + 3 * TENSORS + which)
        offset = tl.load(table + 4 * TENSORS + which)
        if ALIGNED:
            x, y = tl.multiple_of(x, 16), tl.multiple_of(y, 16)
    index = program * BLOCK + tl.arange(0, BLOCK)
    if not ALIGNED:
        index -= offset % 4
    inside = (index >= 0) & (index < elements)
    value = tl.load(x + index, mask=inside, other=0.0)
    scale = tl.load(s + which)
    if SCALED:
        value = divided(value, scale)
    return value, y + index, inside, offset + index, scale


@triton.jit
def divided(value, scale):
    """The IEEE quotient."""
    if value.dtype == tl.float32:
        return tl.div_rn(value, scale)
    else:
        return value / scale


@triton.jit
def store(to, value, inside, scale, SCALED: tl.constexpr, MOST: tl.constexpr):
    """Write the values times S; where MOST is not zero, what S took past it is that number."""
    if SCALED:
        value = value * scale
        if MOST > 0:
            value = tl.where(value > MOST, MOST, tl.where(value < -MOST, -MOST, value))
    tl.store(to, value, mask=inside)


@triton.jit
def random_bits(bits, number, inside, seed, step_low, step_high, BLOCK: tl.constexpr, GIVEN: tl.constexpr):
    """24 random bits of each number: those given, or as `kernels.random_bits.draw`.

    number: BLOCK of them in a row, the first a multiple of four.
    """
    if GIVEN:
        return tl.load(bits + number, mask=inside, other=0)
    counter = tl.min(number, axis=0) // 4 + tl.arange(0, BLOCK // 4)
    low = (counter & 0xFFFFFFFF).to(tl.uint32)
    high = (counter >> 32).to(tl.uint32)
    nothing = tl.zeros_like(low)
    step = nothing + step_low.to(tl.uint32)
    a, b, c, d = tl.philox(seed, low, high, step, nothing + step_high.to(tl.uint32))
    words = tl.interleave(tl.interleave(a, c), tl.interleave(b, d))
    return (words >> 8).to(tl.int32)


def launch(
    kernel: Any,
    sources: Sequence[Tensor],
    targets: Sequence[Tensor],
    scales: Tensor | None,
    counter: tuple[int, int, Sequence[int]],
    bits: Tensor | None,
    constants: Mapping[str, Any],
) -> None:
    """Run a kernel from each dense source to its target, which has the same shape, strides and dtype.

    sources, targets: each a line of memory with at least one element. scales: one of each tensor, or None. counter:
    seed, step and the number of each tensor's first element. bits: random bits instead of drawn ones, for one tensor.
    constants: what the kind compiles in.
    """
    seed, step, offsets = counter
    sizes = [source.numel() for source in sources]
    places = [tensor.data_ptr() for tensor in (*sources, *targets)]
    aligned = all(place % 16 == 0 for place in places) and all(offset % 4 == 0 for offset in offsets)
    blocks = [triton.cdiv(size + offset % 4, BLOCK) for size, offset in zip(sizes, offsets, strict=True)]
    tensors = triton.next_power_of_2(len(sources))
    x, y = sources[0], targets[0]
    with torch.cuda.device(x.device) if x.is_cuda else nullcontext():
        kernel[(sum(blocks),)](
            x, y, x if scales is None else scales, x if bits is None else bits,
            x if tensors == 1 else tabulated(sources, targets, sizes, offsets, blocks, tensors),
            sizes[0], offsets[0], _signed(seed, 64), _signed(step, 32), _signed(step >> 32, 32),
            BLOCK=BLOCK, TENSORS=tensors, SCALED=scales is not None, GIVEN=bits is not None, ALIGNED=aligned,
            **constants,
        )  # fmt: skip


def tabulated(
    sources: Sequence[Tensor],
    targets: Sequence[Tensor],
    sizes: Sequence[int],
    offsets: Sequence[int],
    blocks: Sequence[int],
    tensors: int,
) -> Tensor:
    """The table of `load`, on the tensors' device."""
    starts = [0, *itertools.accumulate(blocks)][:-1]
    addresses = [[tensor.data_ptr() for tensor in side] for side in (sources, targets)]
    rows = [starts, *addresses, sizes, offsets]
    spare = [EMPTY] * (tensors - len(sources))
    return torch.tensor([[*row, *spare] for row in rows], dtype=torch.int64, device=sources[0].device)


def _signed(value: int, bits: int) -> int:
    """The last bits of an integer, as a signed one."""
    value %= 1 << bits
    return value - (1 << bits) if value >> (bits - 1) else value
