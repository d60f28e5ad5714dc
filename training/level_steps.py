"""Optimizer steps of levels: parameters of one level move once every `period` gradients, by AdamW with its own clock.

Nested-learning models keep weights of several frequencies. A level's moments and bias correction count its own moves:
by a common clock the moments of a slow level would be corrected as if they were full, and it would starve.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from training.optimizers import Adam, Named

REDUCTIONS: Final[Mapping[str, float]] = {"sum": 0.0, "mean": -1.0, "root": -0.5}
"""What the sum of buffered gradients is multiplied by: their number to this power."""


@dataclass(frozen=True, kw_only=True)
class LevelOptions:
    """How a level moves.

    period: gradients between two moves. reduction: see REDUCTIONS; for AdamW they differ only through epsilon and where
    a part of a period is applied. weight_decay: decoupled, at each move.
    """

    period: int
    lr: float
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.99)
    reduction: str = "sum"


class LevelSteps:
    """One level. Its parameters stand still between moves, so a move is exact gradient accumulation."""

    def __init__(self, named: Named, options: LevelOptions) -> None:
        assert options.period >= 1 and options.reduction in REDUCTIONS, options
        self.named, self.options = named, options
        self.adam = Adam([(named, options.lr, options.weight_decay)], options.betas)
        self.buffers = {f"{name}.buffer": torch.zeros_like(parameter.data) for name, parameter in named.items()}
        self.count, self.moves = torch.zeros((), dtype=torch.int64), torch.zeros((), dtype=torch.int64)

    def step(self, multiplier: float) -> bool:
        """Take the gradients in, and move if they complete a period -> whether the level moved."""
        self.observe()
        return int(self.count) == self.options.period and self.apply(multiplier)

    @torch.no_grad()
    def observe(self) -> None:
        """Add the gradients to the buffers; a parameter without one counts as having a zero."""
        for parameter, buffer in zip(self.named.values(), self.buffers.values(), strict=True):
            if parameter.grad is not None:
                buffer += parameter.grad
        self.count += 1

    def apply(self, multiplier: float) -> bool:
        """Move by what is buffered, be it a part of a period, and clear it; with nothing buffered do nothing."""
        if not self.count:
            return False
        own = {parameter: parameter.grad for parameter in self.named.values()}
        scale = int(self.count) ** REDUCTIONS[self.options.reduction]
        for parameter, buffer in zip(self.named.values(), self.buffers.values(), strict=True):
            parameter.grad = buffer * scale
        self.adam.step(multiplier)
        for parameter, gradient in own.items():
            parameter.grad = gradient
        self.moves += 1
        self.discard()
        return True

    def discard(self) -> None:
        """Forget what is buffered."""
        for buffer in self.buffers.values():
            buffer.zero_()
        self.count.zero_()

    def state(self) -> dict[str, Tensor]:
        """`count` of buffered gradients, `moves`, buffers and moments."""
        return {"count": self.count, "moves": self.moves, **self.buffers, **self.adam.state()}


class Levels:
    """Several levels, each with its own parameters and clock."""

    def __init__(self, levels: Sequence[LevelSteps]) -> None:
        self.levels = levels

    def step(self, multiplier: float) -> list[int]:
        """One gradient for all levels -> which of them moved."""
        return [index for index, level in enumerate(self.levels) if level.step(multiplier)]

    def state(self) -> dict[str, Tensor]:
        """`levelN.NAME` of each."""
        return {f"level{i}.{name}": x for i, level in enumerate(self.levels) for name, x in level.state().items()}
