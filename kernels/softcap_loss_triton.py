"""Soft-capped cross-entropy in one pass: a row is read once, and its loss and its gradient are written.

The gradient is taken in the forward pass, as in Liger (Hsu et al. 2024, arXiv:2410.10989): backward only scales it.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def loss_and_gradient(z, target, loss, gradient, columns, cap, share, BLOCK: tl.constexpr):
    """One row: its loss, and its row of the gradient times `share`. All arithmetic in float32."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    inside = column < columns
    raw = tl.load(z + row * columns + column, mask=inside, other=0.0).to(tl.float32)
    small = tl.exp(-2.0 * tl.abs(raw) / cap)  # never overflows
    tanh = tl.where(raw < 0.0, -1.0, 1.0) * (1.0 - small) / (1.0 + small)
    capped = tl.where(inside, cap * tanh, -float("inf"))
    highest = tl.max(capped, axis=0)
    powers = tl.exp(capped - highest)
    total = tl.sum(powers, axis=0)
    right = column == tl.load(target + row)
    tl.store(loss + row, tl.log(total) + highest - tl.sum(tl.where(right, capped, 0.0), axis=0))
    slope = (powers / total - tl.where(right, 1.0, 0.0)) * (1.0 - tanh * tanh) * share
    tl.store(gradient + row * columns + column, slope.to(gradient.dtype.element_ty), mask=inside)


class SoftcapLoss(torch.autograd.Function):
    """See the module."""

    @staticmethod
    def forward(context: Any, z_NV: Tensor, target_N: Tensor, cap: float) -> Tensor:
        """The mean loss; the gradient is kept for backward."""
        z_NV = z_NV.contiguous()
        N, V = z_NV.shape
        loss_N = torch.empty(N, dtype=torch.float32, device=z_NV.device)
        gradient_NV = torch.empty_like(z_NV)
        block = triton.next_power_of_2(V)
        loss_and_gradient[(N,)](z_NV, target_N, loss_N, gradient_NV, V, cap, 1.0 / N, BLOCK=block)
        context.save_for_backward(gradient_NV)
        return loss_N.mean()

    @staticmethod
    def backward(context: Any, *upstream: Tensor) -> tuple[Tensor, None, None]:
        """The gradient, scaled by what comes from above."""
        (gradient_NV,) = context.saved_tensors
        return gradient_NV * upstream[0], None, None


def softcap_loss(z_NV: Tensor, target_N: Tensor, cap: float) -> Tensor:
    """What `kernels.softcap_loss.softcap_loss` gives, in float32 -> a scalar."""
    loss: Tensor = SoftcapLoss.apply(z_NV, target_N, cap)  # type: ignore[no-untyped-call]
    return loss
