"""Quantise and dequantise: each number becomes the nearest one of a format, held in the tensor's own dtype.

Three forms give the same bits: `definition` (exact arithmetic, one element at a time), `torch` and `triton`.
"""

import os
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from errors import ImpossibleCombination, InvalidValue, shown
from kernels import fallbacks, scaling
from kernels.formats import Format, Switches, format_named
from kernels.kinds import settled
from kernels.passes import run, triton_module

FORMS = ("auto", "definition", "torch", "triton")


def quantize(
    x: Tensor,
    format: str | Format,
    *,
    rounding: str | None = None,
    overflow: str | None = None,
    underflow: str | None = None,
    scaling: str | None = None,
    axis: int = -1,
    seed: int = 0,
    step: int = 0,
    offset: int = 0,
    clip_gradient: bool = False,
    out: Tensor | None = None,
    form: str = "auto",
) -> Tensor:
    """Q(x): every element as the value of `format` that the switches choose for it. None is the format's default.

    x: float32 or float64, any shape, any strides -> the same dtype and shape; `out` takes the result where given (x
    itself may be). NaN stays NaN. seed, step, offset: stochastic rounding draws from (seed, step, offset + index of the
    element in row-major order) alone. Gradient: straight through, dL/dx = g; with clip_gradient zero where |x| is
    beyond the largest value. form: `auto` is triton on CUDA and torch elsewhere.
    Refuses what the format or the dtype cannot honour.
    """
    f = format_named(format) if isinstance(format, str) else format
    chosen = f.switches(rounding=rounding, overflow=overflow, underflow=underflow, scaling=scaling)
    check(x, f, form)
    if out is not None:
        if out.shape != x.shape or out.dtype != x.dtype:
            raise InvalidValue(f"out is {shown(tuple(out.shape))} {out.dtype}; x is {tuple(x.shape)} {x.dtype}.")
        if torch.is_grad_enabled() and x.requires_grad:
            raise ImpossibleCombination("out takes no gradient; leave it out or call under torch.no_grad().")
    if torch.is_grad_enabled() and x.requires_grad:
        found: Tensor = StraightThrough.apply(  # type: ignore[no-untyped-call]
            x, f, chosen, axis, (seed, step, offset), clip_gradient, form
        )
        return found
    y = torch.empty_like(x) if out is None else out
    run([x], [y], f, settled(f, chosen), axis, (seed, step, offset), form_for(x, f, form))
    return y


def quantize_(x: Tensor, format: str | Format, **options: Any) -> Tensor:
    """`quantize` in place, outside of gradients -> x."""
    with torch.no_grad():
        return quantize(x, format, out=x, **options)


def quantize_all(
    tensors: Sequence[Tensor],
    format: str | Format,
    *,
    rounding: str | None = None,
    overflow: str | None = None,
    underflow: str | None = None,
    scaling: str | None = None,
    axis: int = -1,
    seed: int = 0,
    step: int = 0,
    offset: int = 0,
    form: str = "auto",
) -> None:
    """`quantize_` of every tensor, each with its own scales; on a GPU in one launch for each dtype.

    For stochastic rounding the elements are numbered through, in the order of the tensors.
    """
    f = format_named(format) if isinstance(format, str) else format
    chosen = f.switches(rounding=rounding, overflow=overflow, underflow=underflow, scaling=scaling)
    for x in tensors:
        check(x, f, form)
    if tensors:
        with torch.no_grad():
            one = form_for(tensors[0], f, form)
            run(tensors, tensors, f, settled(f, chosen), axis, (seed, step, offset), one)


def check(x: Tensor, format: Format, form: str) -> None:
    """Refuse what cannot be honoured."""
    if form not in FORMS:
        raise InvalidValue(f"There is no form {shown(form)}; known are {', '.join(FORMS)}.")
    if x.dtype not in (torch.float32, torch.float64):
        raise InvalidValue(f"Numbers are quantised in float32 or float64, not in {x.dtype}.")
    if format.precision_class in ("C", "D"):
        raise ImpossibleCombination(f"{format.id} has more significant bits than {x.dtype}; it needs wider masters.")


def form_for(x: Tensor, format: Format, form: str) -> str:
    """The form that `auto` means for a tensor; what Triton cannot do is refused."""
    if form == "auto":
        if not x.is_cuda:
            return "torch"
        if triton_module(format.kind) is not None:
            return "triton"
        fallbacks.note("quantize", "no_triton")
        return "torch"
    if form == "triton" and not x.is_cuda and not os.environ.get("TRITON_INTERPRET"):
        raise ImpossibleCombination(f"Triton kernels run on CUDA, and the tensor is on {x.device}; use form='torch'.")
    return form


class StraightThrough(torch.autograd.Function):
    """Forward is Q, backward the identity."""

    @staticmethod
    def forward(
        context: Any,
        x: Tensor,
        format: Format,
        switches: Switches,
        axis: int,
        counter: tuple[int, int, int],
        clip: bool,
        form: str,
    ) -> Tensor:
        """Q(x); keeps where the gradient passes if it is clipped."""
        if clip:
            context.save_for_backward(x.abs() <= scaling.reach(format, x, switches, axis))
        context.clip = clip
        y = torch.empty_like(x)
        run([x], [y], format, settled(format, switches), axis, counter, form_for(x, format, form))
        return y

    @staticmethod
    def backward(context: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        """The gradient of x."""
        (g,) = upstream
        if context.clip:
            (inside,) = context.saved_tensors
            g = g * inside
        return g, None, None, None, None, None, None
