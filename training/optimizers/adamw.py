"""AdamW on every dense parameter, row-wise Adagrad on the n-gram tables."""

from collections.abc import Mapping

from torch import Tensor

from training.optimizers import Adam, Groups, Optimizer, RowAdagrad
from training.recipe import Scalar

about = {
    "help": "AdamW on dense weights, row-wise Adagrad on the n-gram tables",
    "source": "Loshchilov, Hutter 2019, arXiv:1711.05101",
    "fields": {
        "lr": {"default": 0.003, "min": 1e-6, "max": 1.0, "help": "learning rate of matrices and vectors"},
        "embedding_lr": {"default": 0.02, "min": 1e-6, "max": 10.0, "help": "learning rate of the byte embedding"},
        "table_lr": {"default": 0.07, "min": 1e-6, "max": 100.0, "help": "learning rate of the n-gram tables"},
        "weight_decay": {"default": 0.0, "min": 0.0, "max": 1.0, "help": "decoupled decay of matrices"},
        "beta1": {"default": 0.9, "min": 0.0, "max": 0.9999, "help": "decay of the first moment"},
        "beta2": {"default": 0.99, "min": 0.0, "max": 0.99999, "help": "decay of the second moment"},
    },
}


class AdamW(Optimizer):
    """See the module."""

    def __init__(self, groups: Groups, options: Mapping[str, float]) -> None:
        lr, decay = options["lr"], options["weight_decay"]
        dense = [
            (groups.matrices, lr, decay),
            (groups.vectors, lr, 0.0),
            (groups.embeddings, options["embedding_lr"], 0.0),
        ]
        self.adam = Adam(dense, (options["beta1"], options["beta2"]))
        self.rows = RowAdagrad(groups.tables, options["table_lr"])

    def step(self, multiplier: float) -> None:
        """One step of all groups."""
        self.adam.step(multiplier)
        self.rows.step(multiplier)

    def state(self) -> dict[str, Tensor]:
        """Moments of dense parameters and row sums of tables."""
        return {**self.adam.state(), **self.rows.sums}

    def echo(self) -> Mapping[str, Scalar]:
        """The options in use."""
        matrices, *_, embeddings = self.adam.inner.param_groups
        beta1, beta2 = matrices["betas"]
        rates = {"lr": matrices["initial_lr"], "embedding_lr": embeddings["initial_lr"], "table_lr": self.rows.lr}
        return {**rates, "weight_decay": matrices["weight_decay"], "beta1": beta1, "beta2": beta2}


adamw = AdamW
