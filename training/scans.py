"""Associative scan: states of an affine recurrence at all segments' starts, in a depth that is the log of their number.

Elements (A, u) stand for S -> A S + u and compose as (A2, u2) after (A1, u1) = (A2 A1, A2 u1 + u2). Blelloch 1990;
Hillis, Steele 1986. Elements are summaries of segments: over tokens they would cost a state of memory each.
Letters: N segments, X states that mix (memory, momentum), Y entries of each.
"""

import torch
from torch import Tensor


def starts_and_end(A_NXX: Tensor, u_NXY: Tensor, first_XY: Tensor) -> tuple[Tensor, Tensor]:
    """S_n = A_n S_(n-1) + u_n -> (S before each segment [..., N, X, Y], S after the last [..., X, Y])."""
    A_NXX, u_NXY = inclusive(A_NXX, u_NXY)
    after_NXY = A_NXX @ first_XY.unsqueeze(-3) + u_NXY
    before_NXY = torch.cat([first_XY.unsqueeze(-3), after_NXY[..., :-1, :, :]], dim=-3)
    return before_NXY, after_NXY[..., -1, :, :]


def inclusive(A_NXX: Tensor, u_NXY: Tensor) -> tuple[Tensor, Tensor]:
    """Element n becomes the composition of elements 0..n."""
    shift, N = 1, A_NXX.shape[-3]
    while shift < N:
        late_A, early_A = A_NXX[..., shift:, :, :], A_NXX[..., : N - shift, :, :]
        late_u, early_u = u_NXY[..., shift:, :, :], u_NXY[..., : N - shift, :, :]
        u_NXY = torch.cat([u_NXY[..., :shift, :, :], late_A @ early_u + late_u], dim=-3)
        A_NXX = torch.cat([A_NXX[..., :shift, :, :], late_A @ early_A], dim=-3)
        shift *= 2
    return A_NXX, u_NXY
