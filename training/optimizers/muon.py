"""Muon on the matrices, AdamW on embedding and vectors, row-wise Adagrad on the n-gram tables."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from training.optimizers import Adam, Groups, Named, Optimizer, RowAdagrad
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

BETAS = (0.9, 0.99)
"""Of Adam, for the parameters that are no matrices."""

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic Newton-Schulz step, from the source: fast rather than exact, singular values end in 0.7..1.2."""

ITERATIONS = 5


class Muon(Optimizer):
    """See the module. Matrices of equal shape are orthogonalised together, as one batch."""

    def __init__(self, groups: Groups, options: Mapping[str, float]) -> None:
        self.lr, self.momentum, self.decay = options["lr"], options["momentum"], options["weight_decay"]
        self.batches = by_shape(groups.matrices)
        self.means = {f"muon.{r}x{c}": torch.zeros(len(batch), r, c) for (r, c), batch in self.batches.items()}
        self.vector_lr = options["vector_lr"]
        dense = [(groups.vectors, self.vector_lr, 0.0), (groups.embeddings, options["embedding_lr"], 0.0)]
        self.adam = Adam(dense, BETAS)
        self.rows = RowAdagrad(groups.tables, options["table_lr"])

    def step(self, multiplier: float) -> None:
        """One step of all groups."""
        with torch.no_grad():
            for batch, mean_NRC in zip(self.batches.values(), self.means.values(), strict=True):
                self.move(batch, mean_NRC, self.lr * multiplier)
        self.adam.step(multiplier)
        self.rows.step(multiplier)

    def move(self, batch: list[nn.Parameter], mean_NRC: Tensor, lr: float) -> None:
        """m = mu m + (1 - mu) g; W -= lr sqrt(max(1, R / C)) orthogonal((1 - mu) g + mu m), Nesterov's look-ahead."""
        g_NRC = torch.stack([parameter.grad for parameter in batch if parameter.grad is not None])
        mean_NRC.lerp_(g_NRC, 1 - self.momentum)
        update_NRC = orthogonal(g_NRC.lerp(mean_NRC, self.momentum))
        scale = max(1.0, g_NRC.shape[1] / g_NRC.shape[2]) ** 0.5
        for parameter, update_RC in zip(batch, update_NRC, strict=True):
            parameter.mul_(1 - lr * self.decay).add_(update_RC, alpha=-lr * scale)

    def state(self) -> dict[str, Tensor]:
        """Momentum of matrices, moments of the other dense parameters, row sums of tables."""
        return {**self.means, **self.adam.state(), **self.rows.sums}

    def echo(self) -> Mapping[str, Scalar]:
        """The options in use."""
        *_, embeddings = self.adam.inner.param_groups
        own = {"lr": self.lr, "momentum": self.momentum, "weight_decay": self.decay, "table_lr": self.rows.lr}
        return {**own, "vector_lr": self.vector_lr, "embedding_lr": embeddings["initial_lr"]}


def by_shape(named: Named) -> dict[tuple[int, int], list[nn.Parameter]]:
    """(rows, columns) -> the matrices of that shape, in the model's order."""
    batches: dict[tuple[int, int], list[nn.Parameter]] = {}
    for parameter in named.values():
        batches.setdefault((parameter.shape[0], parameter.shape[1]), []).append(parameter)
    return batches


def orthogonal(x_NRC: Tensor) -> Tensor:
    """The nearest semi-orthogonal matrix to each, roughly: every singular value moves to about one."""
    a, b, c = COEFFICIENTS
    tall = x_NRC.shape[1] > x_NRC.shape[2]
    x = x_NRC.mT if tall else x_NRC
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


muon = Muon
