"""Parameters of every kind, and the equations in float64 that several optimizers share."""

from collections.abc import Callable, Iterator
from typing import ClassVar

import torch
from torch import Tensor, nn

from training.optimizers import Groups

MULTIPLIERS = [0.25, 0.5, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25, 0.125]
"""Of the learning rate: a rise, a plateau, a fall."""

Rule = Callable[[Tensor, list[Tensor], list[float]], Iterator[Tensor]]
"""(weights, gradients, learning rates) -> the weights after each step, all in float64."""


def adam(w, gradients, rates, betas=(0.9, 0.99), eps=1e-10, decay=0.0):
    m, v = torch.zeros_like(w), torch.zeros_like(w)
    for t, (g, lr) in enumerate(zip(gradients, rates, strict=True), start=1):
        m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g**2
        m_hat, v_hat = m / (1 - betas[0] ** t), v / (1 - betas[1] ** t)
        w = w - lr * (m_hat / (v_hat.sqrt() + eps) + decay * w)
        yield w


def row_adagrad(w, gradients, rates):
    sums = torch.zeros(len(w), dtype=w.dtype)
    for g, lr in zip(gradients, rates, strict=True):
        sums = sums + g.square().mean(1)
        w = w - lr * g / (sums + 1e-20).sqrt()[:, None]
        yield w


def newton_schulz(x):
    """The quintic of Jordan et al. 2024, of one matrix as it stands: X = a X + b (X X^T) X + c (X X^T)^2 X."""
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        x = 3.4445 * x - 4.7750 * (x @ x.T @ x) + 2.0315 * (x @ x.T @ x @ x.T @ x)
    return x


class Problem:
    """Groups of parameters with a gradient for every step: square, two tall, wide, vectors, taps, sparse tables."""

    shapes: ClassVar = {
        "matrices": {"square": (6, 6), "tall": (12, 5), "tall2": (12, 5), "wide": (5, 12)},
        "embeddings": {"embedding": (9, 6)},
        "tables": {"tables": (10, 6)},
        "vectors": {"gain": (7,), "taps": (4, 6)},
    }

    def __init__(self, seed=0):
        random = torch.Generator().manual_seed(seed)
        self.named = {
            kind: {name: nn.Parameter(torch.randn(shape, generator=random)) for name, shape in shapes.items()}
            for kind, shapes in self.shapes.items()
        }
        self.groups = Groups(**self.named)
        self.parameters = {name: p for named in self.named.values() for name, p in named.items()}
        self.gradients = {
            name: [0.01 * torch.randn(p.shape, generator=random) for _ in MULTIPLIERS]
            for name, p in self.parameters.items()
        }
        for step, gradient in enumerate(self.gradients["tables"]):
            gradient[step % 3 :: 3] = 0

    def set_gradients(self, step):
        for name, parameter in self.parameters.items():
            gradient = self.gradients[name][step].clone()
            parameter.grad = gradient.to_sparse(1) if name == "tables" else gradient
