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
        "per": {
            "default": "channel",
            "choices": ["channel", "token", "switch"],
            "help": "clip each channel, or the whole norm, or switch to delta times the absolute error beyond it",
        },
    },
}

SHARP = 10.0
"""tanh(SHARP x) stands for the sign of x. From the source."""


def error(predicted: Tensor, target: Tensor, options: Mapping[str, Scalar]) -> Tensor:
    """The squared error's, clipped to delta by channel or by its norm, or `switched`."""
    e, delta = predicted - target, float(options["delta"])
    if options["per"] == "channel":
        return e.clamp(-delta, delta)
    if options["per"] == "switch":
        return switched(e, torch.as_tensor(delta))
    return e * (delta / (e.square().sum(-1, keepdim=True) + 1e-30).sqrt()).clamp(max=1.0)


def switched(e: Tensor, delta: Tensor) -> Tensor:
    """As printed: e where its norm is at most delta, delta sign(e) elsewhere, with tanh(SHARP e) for the sign."""
    return torch.where(e.square().sum(-1, keepdim=True) <= delta.square(), e, delta * torch.tanh(SHARP * e))


def loss(predicted: Tensor, target: Tensor, options: Mapping[str, Scalar]) -> Tensor:
    """s^2 / 2 up to delta, delta (s - delta / 2) beyond; s is |e| of a channel, or the norm of all

    switch: |e|^2 / 2 where the norm is at most delta, delta log cosh(SHARP e) / SHARP elsewhere; it jumps there.
    """
    e, delta = predicted - target, float(options["delta"])
    if options["per"] == "switch":
        near = e.square().sum(-1, keepdim=True) <= delta**2
        return torch.where(near, e.square() / 2, delta * (SHARP * e).cosh().log() / SHARP).sum(-1)
    size = e.abs() if options["per"] == "channel" else (e.square().sum(-1, keepdim=True) + 1e-30).sqrt()
    return torch.where(size <= delta, size.square() / 2, delta * (size - delta / 2)).sum(-1)


huber = Bias(about, error=error, loss=loss)
