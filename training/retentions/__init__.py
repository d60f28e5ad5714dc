"""Retentions: how a memory holds on to what it knew, and in which set its weights must stay.

A memory keeps an accumulator A and reads weights W = weights(A). One token does
A' = settle(exp(log_retain) A - theta direct(W, gradient at W)). Rows are the last axis: what one output unit reads.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import Tensor

from plugins import Plugins
from training.recipe import Scalar


class Retention(ABC):
    """One retention with its options."""

    def __init__(self, options: Mapping[str, Scalar]) -> None:
        self.options = options

    @abstractmethod
    def start(self, W_OI: Tensor) -> Tensor:
        """An accumulator for these first weights; any finite W is taken and brought into the set where need be."""

    def weights(self, A_OI: Tensor) -> Tensor:
        """The weights that are read: A itself, unless a link lies in between."""
        return A_OI

    def settle(self, A_OI: Tensor) -> Tensor:
        """What is kept after a step."""
        return A_OI

    def direct(self, W_OI: Tensor, gradient_OI: Tensor) -> Tensor:
        """The direction in which a gradient at W is followed."""
        gain = self.gain(W_OI.shape[-1])
        return gradient_OI if gain == 1 else gradient_OI * gain

    def gain(self, inputs: int) -> float:
        """Factor on gradients of rows of that many weights."""
        return 1.0

    def scale(self, A_OI: Tensor) -> Tensor | None:
        """[..., 1, 1]: a frozen segment that began at A reads scale(A) A_t; None: it can read its start only."""
        return A_OI.new_ones(*A_OI.shape[:-2], 1, 1)


retentions = Plugins("training.retentions")
