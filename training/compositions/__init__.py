"""Compositions: how a block puts window attention and memory together.

A composition is a module built from a recipe: forward(x_BTD, carried) -> (y_BTD, carried), where `carried` is None at
the start of a text and otherwise what the last call gave back. It sees no later token. Its `echo` says, from the built
tensors, the recipe fields that it used.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from plugins import Plugins
from training.attention import Cache, attend
from training.recipe import Scalar

Carried = Any
"""The composition's own NamedTuple, or None at the start of a text."""


class Composition(nn.Module, ABC):
    """One way to mix tokens in a block."""

    @abstractmethod
    def forward(self, x_BTD: Tensor, carried: Carried) -> tuple[Tensor, Carried]:
        """Mix tokens, each with those before it."""

    @abstractmethod
    def echo(self) -> Mapping[str, Scalar]:
        """The recipe fields that this module was built with."""


class WindowAttention(nn.Module):
    """Multi-head window attention before its output projection: x_BTD -> y_BTD. Queries and keys are RMS-normed."""

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.qkv = nn.Linear(width, 3 * width, bias=False)

    def forward(self, x_BTD: Tensor, past: Cache | None) -> tuple[Tensor, Cache]:
        """Attend within the window -> (y_BTD, the cache for the next ids)."""
        B, T, D = x_BTD.shape
        q, k, v = self.qkv(x_BTD).view(B, T, 3, self.heads, D // self.heads).permute(2, 0, 3, 1, 4)
        q, k = functional.rms_norm(q, q.shape[-1:]), functional.rms_norm(k, k.shape[-1:])
        y_BHTV, cache = attend(q, k, v, self.window, past)
        return y_BHTV.transpose(1, 2).reshape(B, T, D), cache


compositions = Plugins("training.compositions")
