"""A memory rule token by token: its definition, the same with its reads a segment at a time, and cut gradients."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from training.segments import Form, cut, cut_gates


class Tokenwise(Protocol):
    """What is needed of a rule: see `training.rules.MemoryRule`."""

    @property
    def step(self) -> Callable[[Any, Tensor, Tensor, Mapping[str, Tensor]], Any]:
        """(state, k_BHK, v_BHV, gates) -> state after one token."""

    @property
    def read(self) -> Callable[[Any, Tensor], Tensor]:
        """(state, q_BHK) -> y_BHV."""

    @property
    def reads_before(self) -> bool:
        """Whether a value is read before its token is written."""


def scan(
    rule: Tokenwise, state: Any, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTV: Tensor, gates: Mapping[str, Tensor]
) -> tuple[Tensor, Any]:
    """The definition: one `step` and one `read` per token -> (y_BHTV, state). Slow; tests hold `segment` to it."""
    outputs = []
    for q_BHK, k_BHK, v_BHV, gate in tokens(q_BHTK, k_BHTK, v_BHTV, gates):
        before, state = state, rule.step(state, k_BHK, v_BHV, gate)
        outputs.append(rule.read(before if rule.reads_before else state, q_BHK))
    return torch.stack(outputs, dim=2), state


def one_by_one(
    rule: Tokenwise,
    state: Any,
    q_BHTK: Tensor,
    k_BHTK: Tensor,
    v_BHTV: Tensor,
    gates: Mapping[str, Tensor],
    length: int,
) -> tuple[Tensor, Any]:
    """The same numbers as `scan`: tokens are written one by one, and `length` of them are read at once."""
    outputs, T = [], k_BHTK.shape[2]
    for start in range(0, T, length):
        stop, states = min(T, start + length), []
        part = cut((q_BHTK, k_BHTK, v_BHTV), start, stop)
        for _, k_BHK, v_BHV, gate in tokens(*part, cut_gates(gates, start, stop)):
            before, state = state, rule.step(state, k_BHK, v_BHV, gate)
            states.append(before if rule.reads_before else state)
        stacked = type(state)(*(torch.stack(tensors, 2) for tensors in zip(*states, strict=True)))
        outputs.append(torch.vmap(rule.read, in_dims=(2, 2), out_dims=2)(stacked, part[0]))
    return torch.cat(outputs, 2), state


def tokens(
    q_BHTK: Tensor, k_BHTK: Tensor, v_BHTV: Tensor, gates: Mapping[str, Tensor]
) -> Iterator[tuple[Tensor, Tensor, Tensor, dict[str, Tensor]]]:
    """One token after the other; unbound all at once, which has a gradient that is linear in T."""
    each = zip(*(gate.unbind(2) for gate in gates.values()), strict=True)
    for q_BHK, k_BHK, v_BHV, values in zip(q_BHTK.unbind(2), k_BHTK.unbind(2), v_BHTV.unbind(2), each, strict=True):
        yield q_BHK, k_BHK, v_BHV, dict(zip(gates, values, strict=True))


def in_windows(form: Form, window: int) -> Form:
    """The same values as `form`, without a gradient from a window of tokens to the one before it."""

    def windowed(
        state: Any, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTV: Tensor, gates: Mapping[str, Tensor], length: int
    ) -> tuple[Tensor, Any]:
        outputs, T = [], k_BHTK.shape[2]
        for start in range(0, T, window):
            stop = min(T, start + window)
            state = type(state)(*(tensor.detach() for tensor in state)) if start else state
            part = cut((q_BHTK, k_BHTK, v_BHTV), start, stop)
            y_BHTV, state = form(state, *part, cut_gates(gates, start, stop), length)
            outputs.append(y_BHTV)
        return torch.cat(outputs, 2), state

    return windowed
