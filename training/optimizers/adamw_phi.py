"""AdamW with the golden ratio's constants: first beta 1 / phi, decoupled weight decay phi**-3 / 2."""

from collections.abc import Mapping

from torch import Tensor

from training.optimizers import Groups, Optimizer
from training.optimizers.adamw import AdamW
from training.phi import ALPHA_PHI, PHI
from training.recipe import Scalar

about = {
    "help": "AdamW with beta1 = 1 / phi and weight decay phi**-3 / 2; learning rates of the phi ladder",
    "source": "Loshchilov, Hutter 2019, arXiv:1711.05101; constants and ladder: training/phi.py",
    "combines": {"weights.storage": ["master", "stored"]},
    "fields": {
        "lr": {"default": 0.004, "min": 1e-6, "max": 1.0, "help": "of matrices and vectors; 0.004 phi**(-k / 2)"},
        "embedding_lr": {"default": 0.02, "min": 1e-6, "max": 10.0, "help": "learning rate of the byte embedding"},
        "table_lr": {"default": 0.07, "min": 1e-6, "max": 100.0, "help": "learning rate of the n-gram tables"},
        "beta2": {"default": 0.95, "min": 0.0, "max": 0.99999, "help": "decay of the second moment"},
    },
}


class AdamWPhi(Optimizer):
    """AdamW whose beta1 and weight decay are no options."""

    def __init__(self, groups: Groups, options: Mapping[str, float]) -> None:
        self.inner = AdamW(groups, {**options, "beta1": 1 / PHI, "weight_decay": ALPHA_PHI})

    def step(self, multiplier: float) -> None:
        """One step of all groups."""
        self.inner.step(multiplier)

    def state(self) -> dict[str, Tensor]:
        """That of AdamW."""
        return self.inner.state()

    def echo(self) -> Mapping[str, Scalar]:
        """The options in use."""
        return {key: value for key, value in self.inner.echo().items() if key in about["fields"]}


adamw_phi = AdamWPhi
