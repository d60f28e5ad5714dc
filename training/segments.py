"""Cutting T tokens into segments for the fast form of a memory rule."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

Form = Callable[[Any, Tensor, Tensor, Tensor, Mapping[str, Tensor], int], tuple[Tensor, Any]]
"""(state, q_BHTK, k_BHTK, v_BHTV, gates, length) -> (y_BHTV, state), for T a multiple of length."""


def in_segments(x: Tensor, length: int) -> Tensor:
    """[B, H, T, ...] -> [B, H, N, C, ...], T a multiple of length."""
    return x.reshape(*x.shape[:2], -1, length, *x.shape[3:])


def with_rest(
    form: Form, state: Any, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTV: Tensor, gates: Mapping[str, Tensor], length: int
) -> tuple[Tensor, Any]:
    """Whole segments at once, then the rest as a shorter one: with momentum no padding leaves the state alone."""
    T = k_BHTK.shape[2]
    length = min(length, T)
    whole = T - T % length
    y_BHTV, state = form(state, *cut((q_BHTK, k_BHTK, v_BHTV), 0, whole), cut_gates(gates, 0, whole), length)
    if whole == T:
        return y_BHTV, state
    rest, state = form(state, *cut((q_BHTK, k_BHTK, v_BHTV), whole, T), cut_gates(gates, whole, T), T - whole)
    return torch.cat([y_BHTV, rest], 2), state


def cut(tensors: tuple[Tensor, Tensor, Tensor], start: int, stop: int) -> tuple[Tensor, Tensor, Tensor]:
    """Tokens start..stop of queries, keys and values."""
    q, k, v = tensors
    return q[:, :, start:stop], k[:, :, start:stop], v[:, :, start:stop]


def cut_gates(gates: Mapping[str, Tensor], start: int, stop: int) -> dict[str, Tensor]:
    """Tokens start..stop of every gate."""
    return {name: gate[:, :, start:stop] for name, gate in gates.items()}
