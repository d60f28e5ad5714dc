"""What the optimizers of matrices share: batches of one shape, Newton-Schulz, and all but the rule itself."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from training.optimizers import Adam, Groups, Named, Optimizer, RowAdagrad
from training.recipe import Scalar

BETAS = (0.9, 0.99)
"""Of Adam, for the parameters that are no matrices."""

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic Newton-Schulz step, from the source: fast rather than exact, singular values end in 0.7..1.2."""

ITERATIONS = 5

Buffers = dict[str, Tensor]


class Rest:
    """What an optimizer of matrices leaves to others: Adam on vectors and embeddings, row-wise Adagrad on tables."""

    def __init__(self, groups: Groups, options: Mapping[str, Any]) -> None:
        self.vector_lr = options["vector_lr"]
        dense = [(groups.vectors, self.vector_lr, 0.0), (groups.embeddings, options["embedding_lr"], 0.0)]
        self.adam = Adam(dense, BETAS)
        self.rows = RowAdagrad(groups.tables, options["table_lr"])

    def step(self, multiplier: float) -> None:
        """One step of both."""
        self.adam.step(multiplier)
        self.rows.step(multiplier)

    def state(self) -> dict[str, Tensor]:
        """Moments of dense parameters and row sums of tables."""
        return {**self.adam.state(), **self.rows.sums}

    def echo(self) -> Mapping[str, Scalar]:
        """The three learning rates."""
        *_, embeddings = self.adam.inner.param_groups
        return {"vector_lr": self.vector_lr, "embedding_lr": embeddings["initial_lr"], "table_lr": self.rows.lr}


class MatrixOptimizer(Optimizer):
    """A rule of its own for the matrices, those of one shape together; for all else see `Rest`.

    A plug-in says which buffers a batch has (`fresh`) and where its matrices go (`direction`). Its options hold `lr`,
    `weight_decay` (decoupled, of matrices) and those of `Rest`; the rule reads the others from `self.options`.
    """

    def __init__(self, groups: Groups, options: Mapping[str, Any]) -> None:
        self.options = dict(options)
        self.batches = by_shape(groups.matrices)
        self.buffers = {shape: self.fresh(len(batch), *shape) for shape, batch in self.batches.items()}
        self.steps = torch.zeros((), dtype=torch.int64)
        self.rest = Rest(groups, options)

    @abstractmethod
    def fresh(self, count: int, rows: int, columns: int) -> Buffers:
        """The buffers of `count` matrices of one shape before the first step, by name."""

    @abstractmethod
    def direction(self, g_NRC: Tensor, buffers: Buffers) -> Tensor:
        """Take the gradients into the buffers, in place -> update_NRC; a matrix moves by -lr times its update.

        `self.steps` counts this step already.
        """

    @torch.no_grad()
    def step(self, multiplier: float) -> None:
        """One step of all groups."""
        self.steps += 1
        lr = self.options["lr"] * multiplier
        for batch, buffers in zip(self.batches.values(), self.buffers.values(), strict=True):
            g_NRC = torch.stack([parameter.grad for parameter in batch if parameter.grad is not None])
            for parameter, update_RC in zip(batch, self.direction(g_NRC, buffers), strict=True):
                parameter.mul_(1 - lr * self.options["weight_decay"]).add_(update_RC, alpha=-lr)
        self.rest.step(multiplier)

    def state(self) -> dict[str, Tensor]:
        """`steps`, `matrices.RxC.BUFFER` of each shape, and what `Rest` has."""
        own = {f"matrices.{r}x{c}.{key}": x for (r, c), named in self.buffers.items() for key, x in named.items()}
        return {"steps": self.steps, **own, **self.rest.state()}

    def echo(self) -> Mapping[str, Scalar]:
        """The options in use."""
        return {**self.options, **self.rest.echo()}


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


def muon_length(x_NRC: Tensor) -> float:
    """What Muon multiplies an orthogonalised update by: sqrt(max(1, R / C))."""
    return float(max(1.0, x_NRC.shape[1] / x_NRC.shape[2]) ** 0.5)


def to_rms(x_NRC: Tensor, rms: float = 0.2) -> Tensor:
    """Each matrix scaled to this root mean square, Adam's usual one; a zero matrix stays zero.

    Liu et al. 2025, arXiv:2502.16982, section 2.2.
    """
    size = float((x_NRC.shape[1] * x_NRC.shape[2]) ** 0.5)
    scale_N11: Tensor = rms * size / (x_NRC.norm(dim=(1, 2), keepdim=True) + 1e-20)
    return x_NRC * scale_N11
