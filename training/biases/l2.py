"""Squared error: half the squared distance of the prediction from the value."""

from collections.abc import Mapping

from torch import Tensor

from training.biases import Bias
from training.recipe import Scalar

about = {
    "help": "half the squared distance; its error is prediction minus value",
    "source": "Behrouz et al. 2025, arXiv:2504.13173, section 4",
    "combines": {"rule": ["*"]},
}


def error(predicted: Tensor, target: Tensor, options: Mapping[str, Scalar]) -> Tensor:
    """e = predicted - target"""
    return predicted - target


def loss(predicted: Tensor, target: Tensor, options: Mapping[str, Scalar]) -> Tensor:
    """|e|^2 / 2"""
    return (predicted - target).square().sum(-1) / 2


l2 = Bias(about, error=error, loss=loss)
