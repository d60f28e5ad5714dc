"""The memory layer: projections, short convolution, gates, a rule in between, normed heads out."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.rules import MAPS, Gates, MemoryRule, State

TAPS = 4
"""Width of the short causal convolution; 4 in every paper that uses one."""

SEGMENT = 32
"""Tokens that a rule's segment form takes at once; measured fastest on CPU among 16, 32, 64 and 128."""


NORMS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "l2": lambda x: functional.normalize(x, dim=-1, eps=1e-6),
    "rms": lambda x: functional.rms_norm(x, x.shape[-1:], eps=1e-6),
    "none": lambda x: x,
}
"""How queries and keys are normed."""


class Carried(NamedTuple):
    """What the layer carries to the next ids: the last TAPS - 1 projections, and the rule's state.

    tail: [B, TAPS - 1, 3 D].
    """

    tail: Tensor
    state: State


class Memory(nn.Module):
    """A memory rule with its front-end: project, convolve, SiLU, normed queries and keys, gates per head.

    Where alpha means what is forgotten, the maps of gates of retention have the other sign, and start with it.

    Order of operations: Yang, Kautz, Hatamizadeh 2024, arXiv:2412.06464. x_BTD -> y_BTD, each head RMS-normed.
    """

    def __init__(self, width: int, heads: int, rule: MemoryRule) -> None:
        super().__init__()
        self.heads, self.rule, self.gate_names = heads, rule, list(rule.about["gates"])
        self.norm, self.forgets = NORMS[str(rule.front["norm_of_qk"])], rule.front["alpha_means"] == "forget"
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.gate = nn.Linear(width, len(self.gate_names) * heads)
        self.taps = nn.Parameter(torch.zeros(TAPS, 3 * width))
        with torch.no_grad():
            self.taps[0] = 1.0
            self.gate.weight.zero_()
            for name, bias in zip(self.gate_names, self.gate.bias.view(-1, heads), strict=True):
                bias.fill_(self.signed(name, rule.about["gates"][name]["bias"]))
        own = rule.learned(heads, width // heads, width // heads)
        self.learned = nn.ParameterDict({name: nn.Parameter(tensor) for name, tensor in own.items()})

    def forward(self, x_BTD: Tensor, carried: Carried | None) -> tuple[Tensor, Carried]:
        """Write every token, then read it -> (y_BTD, what to carry on)."""
        B, T, D = x_BTD.shape
        p_BSC = self.qkv(x_BTD)
        before = p_BSC.new_zeros(B, TAPS - 1, 3 * D) if carried is None else carried.tail
        p_BSC = torch.cat([before, p_BSC], dim=1)
        mixed_BTC = functional.silu(sum_of_taps(p_BSC, self.taps))
        q, k, v = mixed_BTC.view(B, T, 3, self.heads, D // self.heads).permute(2, 0, 3, 1, 4)
        q, k = self.norm(q), self.norm(k)
        rule = self.rule.with_learned(dict(self.learned.items()))
        state = rule.initial(q, v) if carried is None else carried.state
        y_BHTV, state = rule.segment(state, q, k, v, self.gates(x_BTD), SEGMENT)
        y_BHTV = functional.rms_norm(y_BHTV, y_BHTV.shape[-1:])
        return y_BHTV.transpose(1, 2).reshape(B, T, D), Carried(p_BSC[:, T:], state)

    def recall(self, x_BTD: Tensor, carried: Carried | None) -> Tensor:
        """What each token reads from the memory as carried, which stays as it is. Queries skip the convolution."""
        B, T, D = x_BTD.shape
        q_BTD = functional.silu(functional.linear(x_BTD, self.qkv.weight[:D]))
        q_BHTK = self.norm(q_BTD.view(B, T, self.heads, -1).transpose(1, 2))
        rule = self.rule.with_learned(dict(self.learned.items()))
        state = rule.initial(q_BHTK, q_BHTK) if carried is None else carried.state
        y_BHTV = torch.vmap(rule.read, in_dims=(None, 2), out_dims=2)(state, q_BHTK)
        return functional.rms_norm(y_BHTV, y_BHTV.shape[-1:]).transpose(1, 2).reshape(B, T, D)

    def gates(self, x_BTD: Tensor) -> Gates:
        """Gate name -> [B, H, T]."""
        raw = self.gate(x_BTD).transpose(1, 2).chunk(len(self.gate_names), dim=1)
        specs = self.rule.about["gates"]
        signed = ((name, self.signed(name, part)) for name, part in zip(self.gate_names, raw, strict=True))
        return {name: MAPS[specs[name]["map"]](part) for name, part in signed}

    def signed(self, name: str, x: Any) -> Any:
        """What the map of a gate gives, a tensor or a number, as the gate takes it."""
        return -x if self.forgets and name.startswith("log_retain") else x


def sum_of_taps(p_BSC: Tensor, taps_WC: Tensor) -> Tensor:
    """Causal depthwise convolution: r[t, c] = sum_j taps[j, c] p[t - j, c] -> [B, S - (TAPS - 1), C]."""
    T = p_BSC.shape[1] - (TAPS - 1)
    r_BTC = taps_WC[0] * p_BSC[:, TAPS - 1 :]
    for j in range(1, TAPS):
        r_BTC = torch.addcmul(r_BTC, taps_WC[j], p_BSC[:, TAPS - 1 - j : TAPS - 1 - j + T])
    return r_BTC
