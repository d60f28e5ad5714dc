"""Muon on the matrices, AdamW on embedding and vectors, row-wise Adagrad on the n-gram tables."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from training.matrix_steps import Rest, by_shape, muon_length, orthogonal
from training.optimizers import Groups, Optimizer
from training.recipe import Scalar

about = {
    "help": "Muon on matrices, Adam on the rest, row-wise Adagrad on the n-gram tables",
    "source": "Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/",
    "fields": {
        "lr": {"default": 0.01, "min": 1e-6, "max": 1.0, "help": "learning rate of matrices"},
        "momentum": {"default": 0.95, "min": 0.0, "max": 0.9999, "help": "decay of the gradient's running mean"},
        "weight_decay": {"default": 0.0, "min": 0.0, "max": 1.0, "help": "decoupled decay of matrices"},
        "vector_lr": {"default": 0.003, "min": 1e-6, "max": 1.0, "help": "learning rate of gains, biases and taps"},
        "embedding_lr": {"default": 0.03, "min": 1e-6, "max": 10.0, "help": "learning rate of the byte embedding"},
        "table_lr": {"default": 0.07, "min": 1e-6, "max": 100.0, "help": "learning rate of the n-gram tables"},
    },
}


class Muon(Optimizer):
    """See the module. Matrices of equal shape are orthogonalised together, as one batch."""

    def __init__(self, groups: Groups, options: Mapping[str, float]) -> None:
        self.lr, self.momentum, self.decay = options["lr"], options["momentum"], options["weight_decay"]
        self.batches = by_shape(groups.matrices)
        self.means = {f"muon.{r}x{c}": torch.zeros(len(batch), r, c) for (r, c), batch in self.batches.items()}
        self.rest = Rest(groups, options)

    def step(self, multiplier: float) -> None:
        """One step of all groups."""
        with torch.no_grad():
            for batch, mean_NRC in zip(self.batches.values(), self.means.values(), strict=True):
                self.move(batch, mean_NRC, self.lr * multiplier)
        self.rest.step(multiplier)

    def move(self, batch: list[nn.Parameter], mean_NRC: Tensor, lr: float) -> None:
        """m = mu m + (1 - mu) g; W -= lr sqrt(max(1, R / C)) orthogonal((1 - mu) g + mu m), Nesterov's look-ahead."""
        g_NRC = torch.stack([parameter.grad for parameter in batch if parameter.grad is not None])
        mean_NRC.lerp_(g_NRC, 1 - self.momentum)
        update_NRC = orthogonal(g_NRC.lerp(mean_NRC, self.momentum))
        scale = muon_length(g_NRC)
        for parameter, update_RC in zip(batch, update_NRC, strict=True):
            parameter.mul_(1 - lr * self.decay).add_(update_RC, alpha=-lr * scale)

    def state(self) -> dict[str, Tensor]:
        """Momentum of matrices, moments of the other dense parameters, row sums of tables."""
        return {**self.means, **self.rest.state()}

    def echo(self) -> Mapping[str, Scalar]:
        """The options in use."""
        own = {"lr": self.lr, "momentum": self.momentum, "weight_decay": self.decay}
        return {**own, **self.rest.echo()}


muon = Muon
