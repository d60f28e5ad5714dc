"""Depth loops: which block runs when. A band of blocks may run several times with the same weights. Pure; no torch.

Dehghani et al. 2018, arXiv:1807.03819 (the whole depth is one band); Bae et al. 2024, arXiv:2410.20672 (a part of it).
"""

from dataclasses import dataclass

from training.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Band:
    """Of `blocks`, those from `first` to `last` (0: to the end), counted from 1, run `loops` times.

    Before the fraction `start` of the budget they run once.
    """

    blocks: int
    first: int
    last: int
    loops: int
    start: float

    def passes(self, step: int, total_steps: int) -> int:
        """How often the band runs in the optimizer step that follows `step` done ones."""
        return self.loops if (step + 0.5) / total_steps >= self.start else 1

    def order(self, passes: int) -> list[tuple[int, int | None]]:
        """(block counted from 0, the pass that begins with it, if one does) in the order in which they run."""
        first, end = self.first - 1, self.last or self.blocks
        band = [(block, turn if block == first else None) for turn in range(passes) for block in range(first, end)]
        return [
            *((block, None) for block in range(first)),
            *band,
            *((block, None) for block in range(end, self.blocks)),
        ]


def band_of(recipe: Recipe) -> Band:
    """The band that a recipe names."""
    first, last = recipe.loop_first, recipe.loop_last
    return Band(blocks=recipe.blocks, first=first, last=last, loops=recipe.loops, start=recipe.loop_start)
