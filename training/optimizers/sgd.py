"""SGD with momentum on every dense parameter, row-wise Adagrad on the n-gram tables."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from training.library_steps import LibraryOptimizer
from training.recipe import Scalar

about = {
    "help": "SGD with momentum on dense weights, row-wise Adagrad on the n-gram tables",
    "source": "Sutskever et al. 2013, ICML; torch",
    "fields": {
        "lr": {"default": 0.01, "min": 1e-6, "max": 1.0, "help": "learning rate of matrices and vectors"},
        "weight_decay": {
            "default": 0.0,
            "min": 0.0,
            "max": 1.0,
            "help": "times the weights, added to a matrix's gradient",
        },
        "embedding_lr": {"default": 0.3, "min": 1e-6, "max": 10.0, "help": "learning rate of the byte embedding"},
        "table_lr": {"default": 0.07, "min": 1e-6, "max": 100.0, "help": "learning rate of the n-gram tables"},
        "momentum": {"default": 0.9, "min": 0.0, "max": 0.9999, "help": "decay of the summed gradients"},
        "nesterov": {"default": True, "help": "whether the momentum looks one step ahead"},
    },
}


class SGD(LibraryOptimizer):
    """b = mu b + g; W -= lr (g + mu b), or lr b without Nesterov. Without momentum both are W -= lr g."""

    def build(self, settings: list[dict[str, Any]], options: Mapping[str, Any]) -> torch.optim.Optimizer:
        """Torch refuses Nesterov without a momentum, where it changes nothing."""
        self.nesterov, momentum = options["nesterov"], options["momentum"]
        return torch.optim.SGD(settings, momentum=momentum, nesterov=self.nesterov and momentum > 0)

    def fresh(self, parameter: Tensor) -> dict[str, Tensor]:
        """The summed gradients."""
        return {"momentum_buffer": torch.zeros_like(parameter)}

    def told(self, group: Mapping[str, Any]) -> Mapping[str, Scalar]:
        """Momentum and its form."""
        return {"momentum": group["momentum"], "nesterov": self.nesterov}


sgd = SGD
