"""Compositions: how a block puts window attention and memory together.

A composition is a module built from a recipe: forward(x_BTD, carried) -> (y_BTD, carried), where `carried` is None at
the start of a text and otherwise what the last call gave back. It sees no later token. Its `echo` says, from the built
tensors, the recipe fields that it used.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
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

    def forward(self, x_BTD: Tensor, past: Cache | None, prefix_BPD: Tensor | None = None) -> tuple[Tensor, Cache]:
        """Attend within the window and to the whole prefix -> (y_BTD, the cache for the next ids)."""
        q, k, v = self.project(x_BTD)
        prefix = Cache(*self.project(prefix_BPD)[1:]) if prefix_BPD is not None else None
        y_BHTV, cache = attend(q, k, v, self.window, past, prefix)
        return y_BHTV.transpose(1, 2).reshape(x_BTD.shape), cache

    def project(self, x_BTD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, [B, H, T, K] each."""
        B, T, D = x_BTD.shape
        q, k, v = self.qkv(x_BTD).view(B, T, 3, self.heads, D // self.heads).permute(2, 0, 3, 1, 4)
        return functional.rms_norm(q, q.shape[-1:]), functional.rms_norm(k, k.shape[-1:]), v


class Persistent(nn.Module):
    """Learned tokens in front of every text, the same for all texts. They are seen by every position, never masked."""

    SPREAD = 0.02
    """Standard deviation at the start (Behrouz, Zhong, Mirrokni 2025, arXiv:2501.00663)."""

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.count = count
        if count:
            self.tokens = nn.Parameter(torch.randn(count, width) * self.SPREAD)

    def forward(self, rows: int) -> Tensor | None:
        """One copy a row of the batch, [B, P, D]; None where there are none."""
        return self.tokens.expand(rows, -1, -1) if self.count else None


compositions = Plugins("training.compositions")
