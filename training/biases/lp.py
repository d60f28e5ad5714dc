"""l_p error: the sum of |e|^p, smooth at zero, linear beyond `clip` where a higher power would run away."""

from collections.abc import Mapping

from torch import Tensor

from training.biases import Bias
from training.recipe import Scalar

about = {
    "help": "sum of |error|^p: p near 1 forgives large errors, p above 2 small ones",
    "source": "Behrouz et al. 2025, arXiv:2504.13173, equation 20 (MONETA)",
    "combines": {"rule": ["*"]},
    "fields": {
        "p": {"default": 3.0, "min": 1.0, "max": 8.0, "help": "the power"},
        "clip": {"default": 1.0, "min": 0.001, "max": 1000.0, "help": "|error| beyond which the loss grows linearly"},
    },
}

SMOOTH = 1e-6
"""Added under the root: |e| is sqrt(e^2 + SMOOTH). From the source."""


def error(predicted: Tensor, target: Tensor, options: Mapping[str, Scalar]) -> Tensor:
    """p e (e^2 + SMOOTH)^((p - 2) / 2), with e clipped: the gradient of (e^2 + SMOOTH)^(p / 2) up to the clip."""
    p, clip = float(options["p"]), float(options["clip"])
    e = (predicted - target).clamp(-clip, clip)
    return p * e * (e * e + SMOOTH) ** (p / 2 - 1)


def loss(predicted: Tensor, target: Tensor, options: Mapping[str, Scalar]) -> Tensor:
    """(e^2 + SMOOTH)^(p / 2) inside the clip, its tangent outside"""
    p, clip = float(options["p"]), float(options["clip"])
    e = predicted - target
    near = e.clamp(-clip, clip)
    slope = p * near * (near * near + SMOOTH) ** (p / 2 - 1)
    return ((near * near + SMOOTH) ** (p / 2) + slope.detach() * (e - near)).sum(-1)


lp = Bias(about, error=error, loss=loss)
