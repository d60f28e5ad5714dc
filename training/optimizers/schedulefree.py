"""ScheduleFree AdamW on every dense parameter, scored at the average; row-wise Adagrad on the n-gram tables.

It goes with no arrangement of levels that puts weights back to a learned start, or hands them on: what moves is one
point of three (y, z and the average), which then no longer belong together.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from schedulefree import AdamWScheduleFree
from torch import Tensor

from training.library_steps import LibraryOptimizer
from training.optimizers import Groups
from training.recipe import Scalar

about = {
    "help": "AdamW that averages instead of decaying its learning rate (give it decay 0); scored at the average",
    "source": "Defazio et al. 2024, arXiv:2405.15682; schedulefree",
    "combines": {"cms": ["none", "basic", "hybrid", "independent"], "cms.stack": [0.0]},
    "fields": {
        "lr": {"default": 0.006, "min": 1e-6, "max": 1.0, "help": "learning rate of matrices and vectors"},
        "weight_decay": {
            "default": 0.0,
            "min": 0.0,
            "max": 1.0,
            "help": "decay of matrices, taken where gradients are",
        },
        "embedding_lr": {"default": 0.03, "min": 1e-6, "max": 10.0, "help": "learning rate of the byte embedding"},
        "table_lr": {"default": 0.07, "min": 1e-6, "max": 100.0, "help": "learning rate of the n-gram tables"},
        "beta1": {
            "default": 0.9,
            "min": 0.01,
            "max": 0.9999,
            "help": "how far gradients are taken towards the average",
        },
        "beta2": {"default": 0.99, "min": 0.0, "max": 0.99999, "help": "decay of the second moment"},
    },
}


class ScheduleFree(LibraryOptimizer):
    """z goes by Adam without first moment; x averages z with weights lr^2; gradients are taken at y = (1-b1) z + b1 x.

    The model holds y, and x while `evaluation_weights()` is entered. Tables are not averaged.
    """

    def __init__(self, groups: Groups, options: Mapping[str, Any]) -> None:
        super().__init__(groups, options)
        count = len(self.inner.param_groups)
        self.steps = torch.zeros((), dtype=torch.int64)
        self.sums = torch.zeros(count, dtype=torch.float64)

    def build(self, settings: list[dict[str, Any]], options: Mapping[str, Any]) -> torch.optim.Optimizer:
        """The library's, ready to train."""
        training = [{**setting, "train_mode": True} for setting in settings]
        optimizer: torch.optim.Optimizer = AdamWScheduleFree(
            training, betas=(options["beta1"], options["beta2"]), eps=1e-10
        )
        return optimizer

    def fresh(self, parameter: Tensor) -> dict[str, Tensor]:
        """z and the second moment."""
        return {"z": parameter.clone(), "exp_avg_sq": torch.zeros_like(parameter)}

    def step(self, multiplier: float) -> None:
        """One step of all groups.

        The library would weigh by the largest learning rate so far; forgetting it gives the paper's weights, which
        differ where a schedule falls.
        """
        for group, weight_sum in zip(self.inner.param_groups, self.sums.tolist(), strict=True):
            group |= {"k": int(self.steps), "weight_sum": weight_sum, "lr_max": -1.0}
        super().step(multiplier)
        self.steps += 1
        self.sums.copy_(torch.tensor([group["weight_sum"] for group in self.inner.param_groups], dtype=torch.float64))

    def state(self) -> dict[str, Tensor]:
        """`steps`, `weight_sums` of the groups' averages, z and second moments, row sums of tables."""
        return {"steps": self.steps, "weight_sums": self.sums, **super().state()}

    @contextmanager
    def evaluation_weights(self) -> Iterator[None]:
        """While entered, the model holds x = y + (1 - 1 / b1) (z - y); then y again, to the last bit."""
        kept = {name: parameter.detach().clone() for name, parameter in self.named.items()}
        beta1 = self.inner.param_groups[0]["betas"][0]
        try:
            with torch.no_grad():
                for parameter in self.named.values():
                    parameter.lerp_(self.inner.state[parameter]["z"], 1 - 1 / beta1)
            yield
        finally:
            with torch.no_grad():
                for name, parameter in self.named.items():
                    parameter.copy_(kept[name])

    def told(self, group: Mapping[str, Any]) -> Mapping[str, Scalar]:
        """Both betas."""
        beta1, beta2 = group["betas"]
        return {"beta1": beta1, "beta2": beta2}


schedulefree = ScheduleFree
