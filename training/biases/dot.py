"""Dot product: the prediction shall point to the value. The Hebbian bias, whose error never ends."""

from collections.abc import Mapping

from torch import Tensor

from training.biases import Bias
from training.recipe import Scalar

about = {
    "help": "minus the dot product with the value; Hebbian writing",
    "source": "Behrouz et al. 2025, arXiv:2504.13173, section 4",
    "combines": {"rule": ["*"]},
}


def error(predicted: Tensor, target: Tensor, options: Mapping[str, Scalar]) -> Tensor:
    """-target"""
    return -target


def loss(predicted: Tensor, target: Tensor, options: Mapping[str, Scalar]) -> Tensor:
    """-predicted . target"""
    return -(predicted * target).sum(-1)


dot = Bias(about, error=error, loss=loss)
