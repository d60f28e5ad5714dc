"""Norm, up, relu squared and down in one kernel: no hidden value goes to memory.

Backward computes the hidden values again, by the matrix products that it needs anyway.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

ROWS, TILE = 32, 32
"""Rows that a program takes, and hidden values that it holds at once; tl.dot wants at least 16."""


@triton.jit
def forward(x, up, down, y, rows, width, hidden, eps, ROWS: tl.constexpr, TILE: tl.constexpr, BLOCK: tl.constexpr):
    """ROWS rows of y. BLOCK is the power of two that holds the width; sums in float32."""
    row = (tl.program_id(0) * ROWS + tl.arange(0, ROWS)).to(tl.int64)
    column = tl.arange(0, BLOCK)
    inside = (row < rows)[:, None] & (column < width)[None, :]
    at = row[:, None] * width + column[None, :]
    raw = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
    normed = raw * tl.rsqrt(tl.sum(raw * raw, axis=1) / width + eps)[:, None]
    total = tl.zeros((ROWS, BLOCK), dtype=tl.float32)
    for start in range(0, hidden, TILE):
        unit = start + tl.arange(0, TILE)
        known = (unit < hidden)[:, None] & (column < width)[None, :]
        up_TD = tl.load(up + unit[:, None] * width + column[None, :], mask=known, other=0.0).to(tl.float32)
        down_TD = tl.load(down + column[None, :] * hidden + unit[:, None], mask=known, other=0.0).to(tl.float32)
        value = tl.maximum(tl.dot(normed, tl.trans(up_TD), input_precision="ieee"), 0.0)
        total += tl.dot(value * value, down_TD, input_precision="ieee")
    tl.store(y + at, total.to(y.dtype.element_ty), mask=inside)


class Mlp(torch.autograd.Function):
    """See the module."""

    @staticmethod
    def forward(context: Any, x_ND: Tensor, up_FD: Tensor, down_DF: Tensor) -> Tensor:
        """y; only the inputs are kept."""
        x_ND, up_FD, down_DF = x_ND.contiguous(), up_FD.contiguous(), down_DF.contiguous()
        (N, D), F = x_ND.shape, len(up_FD)
        y_ND = torch.empty_like(x_ND)
        sizes = {"ROWS": ROWS, "TILE": TILE, "BLOCK": max(16, triton.next_power_of_2(D))}
        forward[(triton.cdiv(N, ROWS),)](x_ND, up_FD, down_DF, y_ND, N, D, F, torch.finfo(x_ND.dtype).eps, **sizes)
        context.save_for_backward(x_ND, up_FD, down_DF)
        return y_ND

    @staticmethod
    def backward(context: Any, *upstream: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients of x, up and down."""
        x_ND, up_FD, down_DF = context.saved_tensors
        (dy_ND,) = upstream
        scale_N1 = (x_ND.square().mean(1, keepdim=True) + torch.finfo(x_ND.dtype).eps).rsqrt()
        n_ND = x_ND * scale_N1
        value_NF = torch.relu(n_ND @ up_FD.mT)
        dvalue_NF = 2 * value_NF * (dy_ND @ down_DF)
        dn_ND = dvalue_NF @ up_FD
        dx_ND = scale_N1 * (dn_ND - n_ND * (dn_ND * n_ND).mean(1, keepdim=True))
        return dx_ND, dvalue_NF.mT @ n_ND, dy_ND.mT @ (value_NF * value_NF)


def mlp(x_ND: Tensor, up_FD: Tensor, down_DF: Tensor) -> Tensor:
    """What `kernels.mlp.mlp` gives -> [N, D]."""
    y_ND: Tensor = Mlp.apply(x_ND, up_FD, down_DF)  # type: ignore[no-untyped-call]
    return y_ND
