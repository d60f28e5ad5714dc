"""Joint-embedding prediction: a small network foretells the trunk's own later states, not only the next byte."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.auxiliary import Auxiliary, at_depth
from training.recipe import Recipe, Scalar

about = {
    "help": "foretell the trunk's states one, two and three bytes ahead (JEPA)",
    "source": "Assran et al. 2023, arXiv:2301.08243; Huang, LeCun, Balestriero 2025, arXiv:2509.14252",
    "combines": {"boundaries": ["none"]},
    "fields": {
        "weight": {"default": 0.001, "min": 0.0, "max": 10.0, "help": "of the loss, in nats a byte"},
        "hidden": {"default": 64, "min": 1, "max": 4096, "help": "hidden width of the predictor"},
        "depth": {"default": 0.5, "min": 0.0, "max": 1.0, "help": "of the layer in the trunk; 1 is its end"},
        "start": {"default": 0.3, "min": 0.0, "max": 1.0, "help": "fraction of the budget before the loss sets in"},
        "ramp": {"default": 0.1, "min": 0.0, "max": 1.0, "help": "fraction of the budget in which it rises"},
        "rest": {"default": 0.2, "min": 0.0, "max": 1.0, "help": "fraction of the budget, at its end, without it"},
    },
}

HORIZONS = ((1, 1.0), (2, 0.5), (3, 0.25))
"""Bytes ahead, and what each counts."""


class Jepa(Auxiliary):
    """sum_k c_k smooth_l1(P_k(N h_t), stop(N h_{t+k})), N a layer norm, P a two-layer MLP whose `down` starts at zero.

    The targets pass no gradient on: the trunk learns to be foretold at t, not to be easy to foretell at t + k.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.options = recipe.option("jepa")
        self.depth, hidden = float(self.options["depth"]), int(self.options["hidden"])
        self.up = nn.Linear(recipe.width, hidden, bias=False)
        self.down = nn.Linear(hidden, len(HORIZONS) * recipe.width, bias=False)
        nn.init.zeros_(self.down.weight)

    def weight(self, progress: float) -> float:
        """0 until `start`, then rising over `ramp`, and 0 again for the last `rest`."""
        full, start, ramp, rest = (float(self.options[key]) for key in ("weight", "start", "ramp", "rest"))
        if progress < start or progress > 1.0 - rest:
            return 0.0
        return full * min(1.0, (progress - start) / ramp) if ramp > 0 else full

    def forward(self, layers: Sequence[Tensor]) -> tuple[Tensor, dict[str, float]]:
        """-> (loss, {"jepa.loss"})."""
        h_BTD = at_depth(layers, self.depth)
        h_BTD = functional.layer_norm(h_BTD, h_BTD.shape[-1:])
        foretold = self.down(functional.gelu(self.up(h_BTD))).chunk(len(HORIZONS), dim=-1)
        target_BTD = h_BTD.detach()
        losses = [
            share * functional.smooth_l1_loss(one_BTD[:, :-ahead], target_BTD[:, ahead:])
            for one_BTD, (ahead, share) in zip(foretold, HORIZONS, strict=True)
        ]
        loss = torch.stack(losses).sum()
        return loss, {"jepa.loss": loss.item()}

    def echo(self) -> Mapping[str, Scalar]:
        """The options that this module was built with."""
        return {**self.options, "hidden": self.up.out_features, "depth": self.depth}


jepa = Jepa
