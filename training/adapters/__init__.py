"""Adapters: maps of the trunk's states, each token by itself, after every block or once before the head.

An adapter is a module built from a recipe: x_BTD -> x_BTD. `place` is "blocks" (one of its own after each block) or
"head" (one after the last). Where a block runs several times, so does its adapter.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import Tensor, nn

from plugins import Plugins
from training.recipe import Scalar


class Adapter(nn.Module, ABC):
    """One map of a token's state. place: see the package."""

    place: str

    @abstractmethod
    def forward(self, x_BTD: Tensor) -> Tensor:
        """The adapted states."""

    @abstractmethod
    def echo(self) -> Mapping[str, Scalar]:
        """The options that this module was built with."""


adapters = Plugins("training.adapters")
