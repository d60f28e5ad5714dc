"""Lion on every dense parameter, row-wise Adagrad on the n-gram tables."""

from collections.abc import Mapping
from typing import Any

import pytorch_optimizer
import torch
from torch import Tensor

from training.library_steps import LibraryOptimizer
from training.recipe import Scalar

about = {
    "help": "sign of an interpolated momentum on dense weights, row-wise Adagrad on the n-gram tables",
    "source": "Chen et al. 2023, arXiv:2302.06675; pytorch-optimizer",
    "fields": {
        "lr": {"default": 0.001, "min": 1e-6, "max": 1.0, "help": "learning rate of matrices and vectors"},
        "weight_decay": {"default": 0.0, "min": 0.0, "max": 1.0, "help": "decoupled decay of matrices"},
        "embedding_lr": {"default": 0.003, "min": 1e-6, "max": 10.0, "help": "learning rate of the byte embedding"},
        "table_lr": {"default": 0.07, "min": 1e-6, "max": 100.0, "help": "learning rate of the n-gram tables"},
        "beta1": {"default": 0.9, "min": 0.0, "max": 0.9999, "help": "weight of the momentum in a step"},
        "beta2": {"default": 0.99, "min": 0.0, "max": 0.99999, "help": "decay of the momentum"},
    },
}


class Lion(LibraryOptimizer):
    """W -= lr (sign(b1 m + (1 - b1) g) + decay W); m = b2 m + (1 - b2) g."""

    def build(self, settings: list[dict[str, Any]], options: Mapping[str, Any]) -> torch.optim.Optimizer:
        """The library's, with decoupled decay."""
        return pytorch_optimizer.Lion(settings, betas=(options["beta1"], options["beta2"]))

    def fresh(self, parameter: Tensor) -> dict[str, Tensor]:
        """The momentum."""
        return {"exp_avg": torch.zeros_like(parameter)}

    def told(self, group: Mapping[str, Any]) -> Mapping[str, Scalar]:
        """Both betas."""
        beta1, beta2 = group["betas"]
        return {"beta1": beta1, "beta2": beta2}


lion = Lion
