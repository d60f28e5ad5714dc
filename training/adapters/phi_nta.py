"""PhiNTA: a frozen random map with rows of norm 1/phi, corrected by a trained map of rank D/phi."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.adapters import Adapter
from training.reading import Read, as_is
from training.recipe import Recipe, Scalar

about = {
    "help": "frozen random map with rows of norm 1/phi plus a trained low-rank one (PhiNTA)",
    "source": "https://github.com/openai/parameter-golf/pull/2059",
    "fields": {
        "rank": {"default": 0, "min": 0, "max": 2048, "help": "of the trained map; 0 for round(width / phi)"},
        "place": {"default": "head", "choices": ["head", "blocks"], "help": "before the head, or after every block"},
    },
}

PHI = (1 + 5**0.5) / 2

FROZEN_BOUND = 0.05
"""The frozen map is drawn uniform in +-0.05 before its rows are scaled; the source's. The scaling undoes the bound."""

TRAINED_STD = 0.02
"""Of A at the start; the source's. B starts at zero."""


class PhiNta(Adapter):
    """x + n W^T + (n A) B, n the RMS-normed x. W comes from the run's seed; it is not trained and not stored.

    The source has no residual path; without one nothing of x would pass but through a random map of norm 0.62.
    """

    frozen: Tensor
    reading: Read = staticmethod(as_is)

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        options = recipe.option("phi_nta")
        D, self.place, self.rank = recipe.width, str(options["place"]), int(options["rank"])
        W_DD = torch.empty(D, D).uniform_(-FROZEN_BOUND, FROZEN_BOUND)
        self.register_buffer("frozen", functional.normalize(W_DD, dim=1) / PHI, persistent=False)
        self.A = nn.Linear(D, self.rank or round(D / PHI), bias=False)
        self.B = nn.Linear(self.A.out_features, D, bias=False)
        nn.init.normal_(self.A.weight, std=TRAINED_STD)
        nn.init.zeros_(self.B.weight)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """See the class."""
        n_BTD = functional.rms_norm(x_BTD, x_BTD.shape[-1:])
        y_BTD: Tensor = functional.linear(self.reading(n_BTD), self.frozen) + self.B(self.A(n_BTD))
        return x_BTD + y_BTD

    def echo(self) -> Mapping[str, Scalar]:
        """The options that this module was built with."""
        return {"rank": self.rank, "place": self.place}


phi_nta = PhiNta
