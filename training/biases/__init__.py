"""Biases: what a memory minimises at each token. A bias turns a prediction into the error that the memory learns from.

`error` is the gradient of `loss` by the prediction; the memory's own gradient is its vector-Jacobian product with it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from plugins import About, Plugins
from training.recipe import Scalar


@dataclass(frozen=True)
class Bias:
    """One attentional bias.

    error: (predicted, target, options) -> the gradient of the loss by the prediction, same shape
    loss: (predicted, target, options) -> the loss of each token, the last axis summed: the definition
    """

    about: About
    error: Callable[[Tensor, Tensor, Mapping[str, Scalar]], Tensor]
    loss: Callable[[Tensor, Tensor, Mapping[str, Scalar]], Tensor]


biases = Plugins("training.biases")
