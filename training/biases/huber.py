"""Huber error: squared up to delta, linear beyond it, so that one wild token cannot overwrite the memory."""

from collections.abc import Mapping

import torch
from torch import Tensor

from training.biases import Bias
from training.recipe import Scalar

about = {
    "help": "squared error up to delta, linear beyond",
    "source": "Behrouz et al. 2025, arXiv:2504.13173, equation 24 (YAAD)",
    "combines": {"rule": ["*"]},
    "fields": {
        "delta": {"default": 1.0, "min": 0.001, "max": 1000.0, "help": "error beyond which the loss grows linearly"},
        "per": {"default": "channel", "choices": ["channel", "token"], "help": "clip each channel, or the whole norm"},
    },
}


def error(predicted: Tensor, target: Tensor, options: Mapping[str, Scalar]) -> Tensor:
    """The squared error's, clipped to delta by channel or by its norm."""
    e, delta = predicted - target, float(options["delta"])
    if options["per"] == "channel":
        return e.clamp(-delta, delta)
    return e * (delta / (e.square().sum(-1, keepdim=True) + 1e-30).sqrt()).clamp(max=1.0)


def loss(predicted: Tensor, target: Tensor, options: Mapping[str, Scalar]) -> Tensor:
    """s^2 / 2 up to delta, delta (s - delta / 2) beyond; s is |e| of a channel, or the norm of all"""
    e, delta = predicted - target, float(options["delta"])
    size = e.abs() if options["per"] == "channel" else (e.square().sum(-1, keepdim=True) + 1e-30).sqrt()
    return torch.where(size <= delta, size.square() / 2, delta * (size - delta / 2)).sum(-1)


huber = Bias(about, error=error, loss=loss)
