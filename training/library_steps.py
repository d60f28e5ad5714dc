"""What the optimizers out of libraries share: a torch optimizer of all dense parameters whose state has fixed names."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from training.optimizers import Groups, Optimizer, RowAdagrad
from training.recipe import Scalar


class LibraryOptimizer(Optimizer):
    """A torch optimizer on matrices, vectors and embeddings, row-wise Adagrad on the n-gram tables.

    A plug-in says how the optimizer is built (`build`), what it keeps for a parameter (`fresh`) and how its own options
    are read back (`told`). The options hold `lr` (matrices and vectors), `embedding_lr`, `table_lr`, `weight_decay` (of
    matrices).
    """

    def __init__(self, groups: Groups, options: Mapping[str, Any]) -> None:
        lr, decay = options["lr"], options["weight_decay"]
        rates = [
            (groups.matrices, lr, decay),
            (groups.vectors, lr, 0.0),
            (groups.embeddings, options["embedding_lr"], 0.0),
        ]
        self.named = {name: parameter for named, _, _ in rates for name, parameter in named.items()}
        settings = [
            {"params": list(named.values()), "lr": lr, "initial_lr": lr, "weight_decay": decay}
            for named, lr, decay in rates
            if named
        ]
        nothing = [{"params": [], "lr": 0.0, "initial_lr": 0.0, "weight_decay": 0.0}]
        self.inner = self.build(settings or nothing, options)
        for parameter in self.named.values():
            self.inner.state[parameter] = self.fresh(parameter.data)
        self.rows = RowAdagrad(groups.tables, options["table_lr"])

    @abstractmethod
    def build(self, settings: list[dict[str, Any]], options: Mapping[str, Any]) -> torch.optim.Optimizer:
        """The optimizer; settings: its parameter groups, matrices first and embeddings last."""

    @abstractmethod
    def fresh(self, parameter: Tensor) -> dict[str, Tensor]:
        """What is kept for a parameter before its first step, by the library's names."""

    @abstractmethod
    def told(self, group: Mapping[str, Any]) -> Mapping[str, Scalar]:
        """The plug-in's own options, read back from the parameter group of matrices."""

    def step(self, multiplier: float) -> None:
        """One step of all groups."""
        for group in self.inner.param_groups:
            group["lr"] = group["initial_lr"] * multiplier
        self.inner.step()
        self.rows.step(multiplier)

    def state(self) -> dict[str, Tensor]:
        """`NAME.KEY` of dense parameters, and row sums of tables."""
        own = {f"{name}.{key}": x for name, p in self.named.items() for key, x in self.inner.state[p].items()}
        return {**own, **self.rows.sums}

    def echo(self) -> Mapping[str, Scalar]:
        """The options in use."""
        matrices, *_, embeddings = self.inner.param_groups
        rates = {"lr": matrices["initial_lr"], "embedding_lr": embeddings["initial_lr"], "table_lr": self.rows.lr}
        return {**rates, "weight_decay": matrices["weight_decay"], **self.told(matrices)}
