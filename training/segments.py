"""Cutting a text into segments of equal length, for the fast forms of recurrences and memory rules."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

Form = Callable[[Any, Tensor, Tensor, Tensor, Mapping[str, Tensor], int], tuple[Tensor, Any]]
"""(state, q_BHTK, k_BHTK, v_BHTV, gates, length) -> (y_BHTV, state), for T a multiple of length."""


def in_segments(x: Tensor, length: int) -> Tensor:
    """[B, H, T] or [B, H, T, K] -> [B, H, N, C, 1 or K], the end filled with zeros, which change no state."""
    x = x if x.ndim == 4 else x[..., None]
    B, H, T, K = x.shape
    tail = -T % length
    return functional.pad(x, (0, 0, 0, tail)).view(B, H, (T + tail) // length, length, K)


def future(a_BHNC1: Tensor, diagonal: int = 1) -> Tensor:
    """bool [C, C]: True where the column lies after the row; with diagonal 0 also where it is the row."""
    C = a_BHNC1.shape[-2]
    return torch.ones(C, C, dtype=torch.bool, device=a_BHNC1.device).triu(diagonal)


def inverted(A: Tensor) -> Tensor:
    """(I + strict_lower(A))^-1 of [.., C, C]. Products with it cost less than as many solves."""
    one = torch.eye(A.shape[-1], dtype=A.dtype, device=A.device).expand_as(A)
    inverse: Tensor = torch.linalg.solve_triangular(A, one, upper=False, unitriangular=True)
    return inverse


def through(
    state: Tensor, recalled: Tensor | None, own: Tensor, last: Tensor, kept: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The loop over segments: E = own - recalled S, S' = kept S + last E -> (S before each, E of each, the last S).

    state: [B, H, X K, V], X matrices that `kept`, [B, H, N, X, X], mixes. own: [B, H, N, R, V]. last:
    [B, H, N, X K, R]. recalled: [B, H, N, R, X K], None for errors that do not depend on the state.
    """
    shape, (B, H, N, _, V), X = state.shape, own.shape, kept.shape[-1]
    S, starts, errors = state.flatten(0, 1), list[Tensor](), list[Tensor]()
    own_n, last_n, kept_n = (x.flatten(0, 1).unbind(1) for x in (own, last, kept))
    recalled_n = recalled.flatten(0, 1).unbind(1) if recalled is not None else [None] * N
    for recall, value, write, keep in zip(recalled_n, own_n, last_n, kept_n, strict=True):
        starts.append(S)
        errors.append(value if recall is None else torch.baddbmm(value, recall, S, alpha=-1))
        S = torch.baddbmm(torch.bmm(keep, S.view(B * H, X, -1)).view_as(S), write, errors[-1])
    before_each, all_errors = (torch.stack(x, 1).view(B, H, N, -1, V) for x in (starts, errors))
    return before_each, all_errors, S.view(shape)


def whole_segments(x: Tensor, length: int) -> Tensor:
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
