"""Memory as layer: the memory first, window attention over what it gives; strictly one after the other."""

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor, nn

from training.attention import Cache
from training.compositions import Composition, Persistent, WindowAttention
from training.memory import Carried, Memory
from training.recipe import Recipe, Scalar
from training.rules import rule_of

about = {
    "help": "the memory, then sliding-window attention over what it gives",
    "source": "Behrouz, Zhong, Mirrokni 2025, arXiv:2501.00663, section 4.3",
    "combines": {"rule": ["*"]},
    "fields": {
        "persistent": {"default": 4, "min": 0, "max": 16, "help": "learned tokens in front of every text"},
        "inner_residual": {"default": False, "help": "whether attention reads x + memory(x) in place of memory(x)"},
    },
}


class Both(NamedTuple):
    """What is carried on: what the memory gave for the persistent tokens, attention's cache, the memory.

    prefix: [B, P, D], or None where there are no persistent tokens.
    """

    prefix: Tensor | None
    attention: Cache
    memory: Carried


class Mal(Composition):
    """z = memory([P, x]); y = W_o attention(z). P stands once in front of a text and is in every window."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        options = recipe.option("mal")
        self.rule_name, self.inner_residual = recipe.rule, bool(options["inner_residual"])
        self.memory = Memory(recipe.width, recipe.heads, rule_of(recipe))
        self.attention = WindowAttention(recipe.width, recipe.heads, recipe.window)
        self.persistent = Persistent(int(options["persistent"]), recipe.width)
        self.out = nn.Linear(recipe.width, recipe.width, bias=False)
        nn.init.zeros_(self.out.weight)

    def forward(self, x_BTD: Tensor, carried: Both | None) -> tuple[Tensor, Both]:
        """Write and read the memory, then attend to what was read."""
        prefix_BPD, past, memory = carried if carried is not None else (None, None, None)
        tokens_BPD = self.persistent(len(x_BTD)) if carried is None else None
        if tokens_BPD is not None:
            prefix_BPD, memory = self.read(tokens_BPD, memory)
        z_BTD, memory = self.read(x_BTD, memory)
        y_BTD, cache = self.attention(z_BTD, past, prefix_BPD)
        return self.out(y_BTD), Both(prefix_BPD, cache, memory)

    def read(self, x_BTD: Tensor, memory: Carried | None) -> tuple[Tensor, Carried]:
        """What the memory gives, with the inner residual where it is asked for."""
        z_BTD, memory = self.memory(x_BTD, memory)
        return (x_BTD + z_BTD if self.inner_residual else z_BTD), memory

    def echo(self) -> Mapping[str, Scalar]:
        """The recipe fields that this module was built with."""
        rule = self.memory.rule.echo(self.rule_name)
        heads, window = self.attention.heads, self.attention.window
        own = {"mal.persistent": self.persistent.count, "mal.inner_residual": self.inner_residual}
        return {"composition": "mal", **rule, "heads": heads, "window": window, **own}


mal = Mal
