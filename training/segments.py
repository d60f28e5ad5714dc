"""Cutting a text into segments of equal length, for the fast forms of recurrences."""

import torch
from torch import Tensor
from torch.nn import functional


def in_segments(x: Tensor, length: int) -> Tensor:
    """[B, H, T] or [B, H, T, K] -> [B, H, N, C, 1 or K], the end filled with zeros, which change no state."""
    x = x if x.ndim == 4 else x[..., None]
    B, H, T, K = x.shape
    tail = -T % length
    return functional.pad(x, (0, 0, 0, tail)).view(B, H, (T + tail) // length, length, K)


def future(a_BHNC1: Tensor) -> Tensor:
    """bool [C, C]: True where the column lies after the row."""
    C = a_BHNC1.shape[-2]
    return torch.ones(C, C, dtype=torch.bool, device=a_BHNC1.device).triu(1)
