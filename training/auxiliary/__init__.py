"""Auxiliary losses: what training asks of the trunk beside the next byte. Scoring knows nothing of them.

An auxiliary loss is a module built from a recipe. Its weights stand in the model's checkpoint under `auxiliary.`, so
that a run goes on bit for bit, and no prediction reads them.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from plugins import Plugins
from training.recipe import Scalar


class Auxiliary(nn.Module, ABC):
    """One auxiliary loss."""

    @abstractmethod
    def weight(self, progress: float) -> float:
        """What the loss is multiplied by at `progress` in [0, 1] of the run. At 0 it is not computed."""

    @abstractmethod
    def forward(self, layers: Sequence[Tensor]) -> tuple[Tensor, dict[str, float]]:
        """The loss before its weight, and figures to tell, from the trunk's layers: x_BTD each, the embedding first."""

    @abstractmethod
    def echo(self) -> Mapping[str, Scalar]:
        """The options that this module was built with."""


def at_depth(layers: Sequence[Tensor], depth: float) -> Tensor:
    """The layer after a fraction of the runs of blocks, at least one: 1 is the trunk's end, 0.5 its middle."""
    return layers[max(1, round(depth * (len(layers) - 1)))]


auxiliaries = Plugins("training.auxiliary")
