"""How large the inner step of a memory with decay and momentum may be."""

from typing import Final

import torch
from torch import Tensor

BOUNDS: Final = ("stable", "calm", "none")
"""stable: below the step at which a repeated key diverges; calm: below the one at which it oscillates; none."""

MARGIN = 0.9
"""Of the stable bound."""


def bounded(theta: Tensor, log_retain: Tensor, log_momentum: Tensor | None, k_K: Tensor, bound: str) -> Tensor:
    """theta, cut to the bound of the recursion along one repeated key.

    That recursion, [[1 - alpha - theta |k|^2, eta], [-theta |k|^2, eta]], is stable if and only if
    theta |k|^2 < (2 - alpha)(1 + eta), and does not oscillate below (sqrt(1 - alpha) - sqrt(eta))^2.
    theta, log gates: [...]; k_K: [..., K].
    """
    if bound == "none":
        return theta
    retain = log_retain.exp()
    eta = torch.zeros_like(retain) if log_momentum is None else log_momentum.exp()
    if bound == "stable":
        most = MARGIN * (1 + retain) * (1 + eta)
    else:
        half = 0.0 if log_momentum is None else (log_momentum / 2).exp()
        most = ((log_retain / 2).exp() - half) ** 2
    return torch.minimum(theta, most / k_K.square().sum(-1).clamp(min=1e-6))
