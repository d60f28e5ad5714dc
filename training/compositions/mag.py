"""Memory as gate: window attention, scaled channel by channel by what the memory reads."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.attention import Cache
from training.compositions import Composition, Persistent, WindowAttention
from training.memory import Carried, Memory
from training.recipe import Recipe, Scalar
from training.rules import rule_of

about = {
    "help": "sliding-window attention, gated by the memory",
    "source": "Behrouz, Zhong, Mirrokni 2025, arXiv:2501.00663, section 4.2",
    "combines": {"rule": ["*"]},
    "fields": {
        "persistent": {
            "default": 0,
            "min": 0,
            "max": 16,
            "help": "learned tokens that attention always sees",
            "later": True,
        }
    },
}

OPEN = 2.0
"""Bias of the gate: sigmoid(2) = 0.88, so that attention passes nearly whole at the start."""


class Both(NamedTuple):
    """What both branches carry on."""

    attention: Cache
    memory: Carried


class Mag(Composition):
    """y = W_o (N_1(attention(x)) * sigmoid(N_2(memory(x)) + OPEN)), N an RMS norm with a learned gain."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.rule_name = recipe.rule
        self.attention = WindowAttention(recipe.width, recipe.heads, recipe.window)
        self.memory = Memory(recipe.width, recipe.heads, rule_of(recipe))
        self.attention_gain = nn.Parameter(torch.ones(recipe.width))
        self.memory_gain = nn.Parameter(torch.ones(recipe.width))
        self.gate_bias = nn.Parameter(torch.full((recipe.width,), OPEN))
        self.out = nn.Linear(recipe.width, recipe.width, bias=False)
        nn.init.zeros_(self.out.weight)
        self.persistent = Persistent(int(recipe.option("mag")["persistent"]), recipe.width)

    def forward(self, x_BTD: Tensor, carried: Both | None) -> tuple[Tensor, Both]:
        """Run both branches on the same tokens and gate one by the other."""
        past, memory = carried if carried is not None else (None, None)
        y_BTD, cache = self.attention(x_BTD, past, self.persistent(len(x_BTD)))
        z_BTD, memory = self.memory(x_BTD, memory)
        D = x_BTD.shape[-1:]
        gate_BTD = torch.sigmoid(functional.rms_norm(z_BTD, D, self.memory_gain) + self.gate_bias)
        return self.out(functional.rms_norm(y_BTD, D, self.attention_gain) * gate_BTD), Both(cache, memory)

    def echo(self) -> Mapping[str, Scalar]:
        """The recipe fields that this module was built with."""
        heads, window = self.attention.heads, self.attention.window
        own = {**self.memory.rule.echo(self.rule_name), "mag.persistent": self.persistent.count}
        return {"composition": "mag", "heads": heads, "window": window, **own}


mag = Mag
