"""Entropy band on a cellular automaton: the trunk's states, laid out as a 9 x 9 torus of cells, keep their variety.

Each hidden state is mapped by a fixed random matrix to 81 numbers, one a cell. A cell is in each of K = 9 states with
a probability that falls off with the distance of its number from that state's level: a soft histogram, which has a
gradient where a count has none. Some steps of a soft majority rule let neighbours agree. H is the entropy, in nats, of
the states over all cells. Below the band the loss pulls H up, and above it down; its upper end is ln 9, the most that
nine states can have, so only the lower end ever acts; with fewer steps than the default it rarely does.

What is trained is the trunk below the layer: matrix, levels and rule are fixed, so the loss can fall only by states
that are spread. Nothing is foretold and no byte is seen by it.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from training.auxiliary import Auxiliary, at_depth
from training.recipe import Recipe, Scalar

about = {
    "help": "keep the entropy of the trunk's states on a 9 x 9 cellular automaton within a band",
    "source": "own definition; soft majority after Mordvintsev et al. 2020, https://distill.pub/2020/growing-ca/",
    "combines": {"boundaries": ["none"]},
    "fields": {
        "weight": {"default": 0.25, "min": 0.0, "max": 10.0, "help": "of the loss, in nats a byte"},
        "steps": {"default": 4, "min": 0, "max": 128, "help": "steps of the majority rule before H is taken"},
        "depth": {"default": 0.5, "min": 0.0, "max": 1.0, "help": "of the layer in the trunk; 1 is its end"},
        "stride": {"default": 32, "min": 1, "max": 8192, "help": "every how many bytes a grid is laid out"},
    },
}

SIDE, K = 9, 9
"""Cells along each side of the torus, and states of a cell."""

LOW, HIGH = 1.5, math.log(K)
"""The band of H in nats."""

SPREAD = 2.0
"""The levels of the states lie evenly in -SPREAD..SPREAD; a cell's number has variance about one."""

CENTRE = 2.0
"""Votes of the cell itself in the majority; each of its four neighbours (von Neumann) has one."""

SHARPNESS = 2.0
"""Of the soft majority: its softmax goes to the true one as this grows."""


class Nca(Auxiliary):
    """See the module. The matrix comes from the run's seed, is not trained and not stored."""

    cells: Tensor

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.options = recipe.option("nca")
        self.depth, self.steps, self.stride = (self.options[key] for key in ("depth", "steps", "stride"))
        cells = torch.randn(SIDE * SIDE, recipe.width) * recipe.width**-0.5
        self.register_buffer("cells", cells, persistent=False)

    def weight(self, progress: float) -> float:
        """The same for the whole run."""
        return float(self.options["weight"])

    def forward(self, layers: Sequence[Tensor]) -> tuple[Tensor, dict[str, float]]:
        """-> (mean distance of H from the band, {"nca.entropy": mean H})."""
        h_BTD, stride = at_depth(layers, float(self.depth)), int(self.stride)
        h_BND = h_BTD[:, (h_BTD.shape[1] - 1) % stride :: stride]
        numbers_NC = functional.linear(functional.rms_norm(h_BND, h_BND.shape[-1:]), self.cells).flatten(0, 1)
        grid_NSSK = in_states(numbers_NC).view(-1, SIDE, SIDE, K)
        for _ in range(int(self.steps)):
            grid_NSSK = majority(grid_NSSK)
        H_N = entropy(grid_NSSK.flatten(1, 2))
        return distance(H_N).mean(), {"nca.entropy": H_N.mean().item()}

    def echo(self) -> Mapping[str, Scalar]:
        """The options that this module was built with."""
        return self.options


def in_states(numbers: Tensor) -> Tensor:
    """[...] -> [..., K]: probability of each state, a softmax of -(number - level)^2 / (2 width^2)."""
    levels_K = torch.linspace(-SPREAD, SPREAD, K, dtype=numbers.dtype, device=numbers.device)
    width = 2 * SPREAD / (K - 1)
    return torch.softmax(-((numbers[..., None] - levels_K) ** 2) / (2 * width**2), dim=-1)


def majority(grid_NSSK: Tensor) -> Tensor:
    """One soft step on the torus: every cell moves to the states that it and its four neighbours vote for."""
    votes_NSSK = CENTRE * grid_NSSK
    for axis in (1, 2):
        votes_NSSK = votes_NSSK + grid_NSSK.roll(1, axis) + grid_NSSK.roll(-1, axis)
    return torch.softmax(SHARPNESS * votes_NSSK, dim=-1)


def entropy(cells_NCK: Tensor) -> Tensor:
    """-sum p ln p of the states over all cells of each grid -> [N], in 0..ln K."""
    H_N: Tensor = torch.special.entr(cells_NCK.mean(1)).sum(-1)
    return H_N


def distance(H: Tensor) -> Tensor:
    """How far H lies outside LOW..HIGH; 0 within."""
    return functional.relu(LOW - H) + functional.relu(H - HIGH)


nca = Nca
