"""Adafactor on every dense parameter, row-wise Adagrad on the n-gram tables."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from training.library_steps import LibraryOptimizer
from training.recipe import Scalar

about = {
    "help": "Adafactor on dense weights, row-wise Adagrad on the n-gram tables; little memory",
    "source": "Shazeer, Stern 2018, arXiv:1804.04235; torch",
    "fields": {
        "lr": {
            "default": 0.3,
            "min": 1e-6,
            "max": 1.0,
            "help": "relative to the size of a matrix or vector; at most 1 / sqrt(step)",
        },
        "weight_decay": {"default": 0.0, "min": 0.0, "max": 1.0, "help": "decoupled decay of matrices"},
        "embedding_lr": {"default": 0.1, "min": 1e-6, "max": 10.0, "help": "learning rate of the byte embedding"},
        "table_lr": {"default": 0.07, "min": 1e-6, "max": 100.0, "help": "learning rate of the n-gram tables"},
        "power": {"default": 0.8, "min": 0.0, "max": 1.0, "help": "step**-power is the weight of the newest square"},
        "clip": {"default": 1.0, "min": 1.0, "max": 1000.0, "help": "largest root mean square of an update"},
    },
}


class Adafactor(LibraryOptimizer):
    """See the module. A learning rate is relative: it is multiplied by max(0.001, root mean square of the weights)."""

    def build(self, settings: list[dict[str, Any]], options: Mapping[str, Any]) -> torch.optim.Optimizer:
        """Torch's, one tensor at a time."""
        return torch.optim.Adafactor(settings, beta2_decay=-options["power"], d=options["clip"], foreach=False)

    def fresh(self, parameter: Tensor) -> dict[str, Tensor]:
        """Mean squares of rows and columns of the last two dimensions, of elements where there is one."""
        if parameter.ndim == 1:
            return {"step": torch.zeros(()), "variance": torch.zeros_like(parameter)}
        *heads, rows, columns = parameter.shape
        means = {"row_var": torch.zeros(*heads, rows, 1), "col_var": torch.zeros(*heads, 1, columns)}
        return {"step": torch.zeros(()), **means}

    def told(self, group: Mapping[str, Any]) -> Mapping[str, Scalar]:
        """Power and clip."""
        return {"power": -group["beta2_decay"], "clip": group["d"]}


adafactor = Adafactor
