"""Memory rules: how a matrix or a small network learns, token by token, from the keys and values it is shown.

A rule declares its gates in `about["gates"]`: name -> {"map", "bias"}, the function in `MAPS` that turns a linear map
of the token into the gate, and the bias that the map starts with. `step` is the definition; `segment` computes the
same for many tokens at once. State is a NamedTuple of tensors that the rule declares; a batch row and a head each have
their own. A value is read after its token was written: y_t = read(S_t, q_t).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from plugins import About, Plugins

State = Any
"""The rule's own NamedTuple of tensors, each with leading axes B, H."""

Gates = Mapping[str, Tensor]
"""Gate name -> [B, H, T] (one token: [B, H])."""

MAPS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "logsigmoid": functional.logsigmoid,
    "softplus": functional.softplus,
}


@dataclass(frozen=True)
class MemoryRule:
    """One memory rule.

    initial: (q_BHTK, v_BHTV) -> the empty state for those shapes, dtype and device
    step: (state, k_BHK, v_BHV, gates) -> state after one token
    read: (state, q_BHK) -> y_BHV
    segment: (state, q_BHTK, k_BHTK, v_BHTV, gates, length) -> (y_BHTV, state), what T times step and read
    give, computed `length` tokens at a time
    """

    about: About
    initial: Callable[[Tensor, Tensor], State]
    step: Callable[[State, Tensor, Tensor, Gates], State]
    read: Callable[[State, Tensor], Tensor]
    segment: Callable[[State, Tensor, Tensor, Tensor, Gates, int], tuple[Tensor, State]]


def scan(
    rule: MemoryRule, state: State, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTV: Tensor, gates: Gates
) -> tuple[Tensor, State]:
    """The definition: one `step` and one `read` per token -> (y_BHTV, state). Slow; tests hold `segment` to it."""
    outputs = []
    for t in range(q_BHTK.shape[2]):
        gate = {name: value[:, :, t] for name, value in gates.items()}
        state = rule.step(state, k_BHTK[:, :, t], v_BHTV[:, :, t], gate)
        outputs.append(rule.read(state, q_BHTK[:, :, t]))
    return torch.stack(outputs, dim=2), state


rules = Plugins("training.rules")
