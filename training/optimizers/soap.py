"""SOAP on the matrices: Adam in the eigenbasis of Shampoo's preconditioner."""

from collections.abc import Mapping
from typing import Any

import torch
from pytorch_optimizer import SOAP
from torch import Tensor

from training.matrix_steps import Rest
from training.optimizers import Groups, Optimizer
from training.recipe import Scalar

about = {
    "help": "Adam in Shampoo's eigenbasis on matrices, Adam on the rest, row-wise Adagrad on the n-gram tables",
    "source": "Vyas et al. 2024, arXiv:2409.11321; pytorch-optimizer",
    "fields": {
        "lr": {"default": 0.004, "min": 1e-6, "max": 1.0, "help": "learning rate of matrices"},
        "weight_decay": {"default": 0.0, "min": 0.0, "max": 1.0, "help": "decoupled decay of matrices"},
        "vector_lr": {
            "default": 0.003,
            "min": 1e-6,
            "max": 1.0,
            "help": "Adam learning rate of gains, biases and taps",
        },
        "embedding_lr": {"default": 0.03, "min": 1e-6, "max": 10.0, "help": "Adam learning rate of the byte embedding"},
        "table_lr": {"default": 0.07, "min": 1e-6, "max": 100.0, "help": "learning rate of the n-gram tables"},
        "beta1": {"default": 0.95, "min": 0.0, "max": 0.9999, "help": "decay of the first moment"},
        "beta2": {"default": 0.95, "min": 0.0, "max": 0.9999, "help": "decay of second moment and preconditioner"},
        "period": {"default": 10, "min": 1, "max": 1000, "help": "steps between two refreshes of the eigenbasis"},
        "largest": {"default": 1024, "min": 1, "max": 8192, "help": "longer sides of a matrix are not preconditioned"},
    },
}


class Soap(Optimizer):
    """See the module. As published, the first step only starts the preconditioner and moves no matrix."""

    def __init__(self, groups: Groups, options: Mapping[str, Any]) -> None:
        self.named, self.lr = groups.matrices, options["lr"]
        self.inner = SOAP(
            [{"params": list(self.named.values())}],
            lr=self.lr,
            betas=(options["beta1"], options["beta2"]),
            weight_decay=options["weight_decay"],
            precondition_frequency=options["period"],
            max_precondition_dim=options["largest"],
        )
        self.steps = torch.zeros((), dtype=torch.int64)
        for parameter in self.named.values():
            self.inner.state[parameter] = self.fresh(parameter)
        self.rest = Rest(groups, options)

    def fresh(self, parameter: Tensor) -> dict[str, Any]:
        """The state of a matrix before the first step, as the library names it; `[]` for a side that is too long."""
        group = self.inner.param_groups[0]
        moments = {key: torch.zeros_like(parameter.data) for key in ("exp_avg", "exp_avg_sq")}
        sides = [size if size <= group["max_precondition_dim"] else 0 for size in parameter.shape]
        bases: dict[str, Any] = {
            key: [torch.zeros(size, size) if size else [] for size in sides] for key in ("GG", "Q")
        }
        constant = {"precondition_frequency": group["precondition_frequency"], "shampoo_beta": group["betas"][1]}
        return {**moments, **bases, **constant}

    def step(self, multiplier: float) -> None:
        """One step of all groups.

        At the first one the library makes its state itself. Bases that LAPACK gives column by column are laid out by
        rows, as they are after a checkpoint: the layout decides in which order products are summed.
        """
        group = self.inner.param_groups[0]
        group["lr"], group["step"] = self.lr * multiplier, int(self.steps)
        if group["step"] == 0:
            self.inner.state.clear()
        self.inner.step()
        self.steps += 1
        for parameter in self.named.values():
            state = self.inner.state[parameter]
            state["exp_avg_sq"] = state["exp_avg_sq"].contiguous()
            state["Q"] = [basis.contiguous() if len(basis) else basis for basis in state["Q"]]
        self.rest.step(multiplier)

    def state(self) -> dict[str, Tensor]:
        """`steps`; moments, preconditioners `GG` and bases `Q` of matrices; what `Rest` has."""
        own: dict[str, Tensor] = {"steps": self.steps}
        for name, parameter in self.named.items():
            state = self.inner.state[parameter]
            own |= {f"{name}.{key}": state[key] for key in ("exp_avg", "exp_avg_sq")}
            sides = {f"{name}.{key}.{side}": x for key in ("GG", "Q") for side, x in enumerate(state[key])}
            own |= {key: x for key, x in sides.items() if len(x)}
        return {**own, **self.rest.state()}

    def echo(self) -> Mapping[str, Scalar]:
        """The options in use."""
        group = self.inner.param_groups[0]
        beta1, beta2 = group["betas"]
        own = {"lr": self.lr, "weight_decay": group["weight_decay"], "beta1": beta1, "beta2": beta2}
        sizes = {"period": group["precondition_frequency"], "largest": group["max_precondition_dim"]}
        return {**own, **sizes, **self.rest.echo()}


soap = Soap
