"""How a format is applied to whole tensors: in pieces that fit a cache, or many tensors in one launch.

Under one scale for the tensor, or none, a value depends on its element alone, so memory is walked in its own order.
What needs rows, blocks or other scales goes through `kernels.scaling`.
"""

import importlib
import importlib.util
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import torch
from torch import Tensor

from errors import ImpossibleCombination
from kernels import random_bits, scaling
from kernels.formats import Format, Switches
from kernels.kinds import defined, kind_of

PIECE = 1 << 15
"""Elements that a CPU thread takes at once: what the PyTorch form holds of them fits its cache, and torch starts no
threads of its own for so few."""

SHARED = 1 << 19
"""From this many elements on the pieces of a tensor are shared out to threads."""

Counter = tuple[int, int, int]
"""Seed, step and the number of the first element, for random bits."""


def run(
    sources: Sequence[Tensor],
    targets: Sequence[Tensor],
    format: Format,
    switches: Switches,
    axis: int,
    counter: Counter,
    form: str,
) -> None:
    """Write S * Q(x / S) of each source to its target, of the same shape and dtype; it may be the source itself.

    form: definition, torch or triton. Tensors of one dtype and device go through Triton in one launch.
    """
    seed, step, offset = counter
    simple = switches.scaling == "none" or (switches.scaling in ("pow2", "amax") and "scale" not in format.parameters)
    waiting: dict[tuple[torch.dtype, torch.device], list[tuple[Tensor, Tensor, int]]] = {}
    moves: list[tuple[Tensor, Tensor]] = []
    for source, target in zip(sources, targets, strict=True):
        count, numbered = source.numel(), (seed, step, offset)
        if simple and form != "definition" and count:
            x, y = lined(source, target, switches.rounding == "sr", moves)
            if form == "triton":
                waiting.setdefault((x.dtype, x.device), []).append((x, y, offset))
            else:
                by_pieces(x, y, format, switches, numbered)
        elif count:
            bits = random_bits.draw(source, *numbered) if switches.rounding == "sr" else None
            work = {"definition": defined, "torch": kind_of(format).fast, "triton": launched}[form]
            if form != "triton" or not in_blocks(source, target, format, switches, axis, bits):
                target.copy_(scaling.scaled(format, source, switches, axis, bits, work))
        offset += count
    for group in waiting.values():
        launch_all(group, format, switches, (seed, step))
    for target, buffer in moves:
        target.copy_(buffer)


def in_blocks(x: Tensor, y: Tensor, format: Format, switches: Switches, axis: int, bits: Tensor | None) -> bool:
    """Run the fused Triton kernel of blocks where there is one for this; whether it was."""
    if switches.scaling != "block" or importlib.util.find_spec("triton") is None:
        return False
    fused = importlib.import_module("kernels.blocks_triton")
    if not fused.serves(format, switches):
        return False
    found = y if y.is_contiguous() else torch.empty_like(x, memory_format=torch.contiguous_format)
    fused.run(x.contiguous(), found, format, switches, axis, bits)
    if found is not y:
        y.copy_(found)
    return True


def lined(source: Tensor, target: Tensor, ordered: bool, moves: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Source and target as one line of memory each. What must be copied to its target afterwards goes to `moves`.

    ordered: the line must be in row-major order.
    """
    same = source.data_ptr() == target.data_ptr()
    apart = source.untyped_storage().data_ptr() != target.untyped_storage().data_ptr()
    order = source.is_contiguous() if ordered else dense(source)
    if order and source.stride() == target.stride() and (same or apart):
        return line(source), line(target)
    buffer = (
        target if apart and target.is_contiguous() else torch.empty_like(source, memory_format=torch.contiguous_format)
    )
    if buffer is not target:
        moves.append((target, buffer))
    buffer.copy_(source)
    return line(buffer), line(buffer)


def dense(x: Tensor) -> bool:
    """Whether the elements fill a stretch of memory, each once, in any order of the axes."""
    expected = 1
    for stride, size in sorted((stride, size) for stride, size in zip(x.stride(), x.shape, strict=True) if size != 1):
        if stride != expected:
            return False
        expected *= size
    return True


def line(x: Tensor) -> Tensor:
    """The memory of a dense tensor."""
    return x.as_strided((x.numel(),), (1,))


def by_pieces(x: Tensor, y: Tensor, format: Format, switches: Switches, counter: Counter) -> None:
    """The PyTorch form, from one line to another: in pieces and threads on a CPU, at once on a GPU."""
    seed, step, offset = counter
    fast = kind_of(format).fast
    s = None if switches.scaling == "none" else scaling.scale(format, x, switches.scaling)
    size = PIECE if x.device.type == "cpu" else x.numel()
    inference = torch.is_inference_mode_enabled()

    def work(first: int, last: int) -> None:
        with torch.inference_mode(inference), torch.no_grad():
            for start in range(first, last, size):
                piece = x[start : min(start + size, last)]
                bits = random_bits.draw(piece, seed, step, offset + start) if switches.rounding == "sr" else None
                found = fast(format, piece if s is None else piece / s, switches, bits)
                y[start : start + len(piece)] = found if s is None else scaling.within(found * s, switches)

    threads = torch.get_num_threads() if x.device.type == "cpu" and x.numel() >= SHARED else 1
    if threads == 1:
        work(0, x.numel())
        return
    share = -(-x.numel() // (threads * size)) * size
    starts = range(0, x.numel(), share)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, starts, [min(start + share, x.numel()) for start in starts]))


def launch_all(
    group: list[tuple[Tensor, Tensor, int]], format: Format, switches: Switches, counter: tuple[int, int]
) -> None:
    """The Triton form, of all lines of a group in one launch."""
    sources, targets, offsets = zip(*group, strict=True)
    scaled = switches.scaling != "none"
    s = torch.stack([scaling.scale(format, x, switches.scaling) for x in sources]) if scaled else None
    _launch(format, switches, sources, targets, s, (*counter, offsets), None)


def launched(format: Format, x: Tensor, switches: Switches, random_bits: Tensor | None = None) -> Tensor:
    """What `Kind.fast` gives, by the kind's Triton kernel."""
    x = x.contiguous()
    y = torch.empty_like(x)
    if x.numel():
        bits = None if random_bits is None else random_bits.contiguous()
        _launch(format, switches, [x], [y], None, (0, 0, [0]), bits)
    return y


def _launch(format: Format, switches: Switches, sources: Any, targets: Any, s: Any, counter: Any, bits: Any) -> None:
    module = triton_module(format.kind)
    if module is None:
        raise ImpossibleCombination(f"{format.id} has no Triton form; use form='torch'.")
    constants = module.constants(format, switches, sources[0].dtype)
    if hasattr(module, "tables"):
        constants = {**constants, **module.tables(format, switches, sources[0])}
    shared = importlib.import_module("kernels.elementwise_triton")
    shared.launch(module.kernel, sources, targets, s, counter, bits, constants)


@cache
def triton_module(kind: str) -> Any:
    """The Triton form of a kind; None where there is none, or no Triton."""
    name = f"kernels.kinds.{kind}_triton"
    if importlib.util.find_spec(name) is None or importlib.util.find_spec("triton") is None:
        return None
    return importlib.import_module(name)
