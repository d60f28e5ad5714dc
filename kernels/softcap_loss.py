"""Soft-capped cross-entropy: the loss of logits cap * tanh(z / cap), in nats a position."""

import torch
from torch import Tensor
from torch.nn import functional


def softcap_loss(z_NV: Tensor, target_N: Tensor, cap: float) -> Tensor:
    """Mean of -ln softmax(cap tanh(z / cap))[target], the plain definition."""
    return functional.cross_entropy(cap * torch.tanh(z_NV / cap), target_N)
