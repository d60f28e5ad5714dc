"""The conductor: which level of a continuum memory system fires after which step. Pure; no torch."""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass

from training.cms import Variant, cms
from training.recipe import NONE, Recipe, Scalar


@dataclass(frozen=True, order=True, kw_only=True)
class Schedule:
    """A level fires when the position passes phase + n * period. Positions count steps or bytes."""

    period: int
    phase: int = 0

    def boundary(self, position: int) -> int:
        """The last boundary at or before the position; it may lie before 0."""
        return position - (position - self.phase) % self.period


@dataclass(frozen=True, kw_only=True)
class Pulse:
    """What an optimizer step is told: the steps done before it, and for each schedule whether it fires after it."""

    step: int
    active: tuple[bool, ...]
    boundaries: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Continuum:
    """A recipe's levels. step_size: by how much the position grows in a step."""

    name: str
    variant: Variant
    options: Mapping[str, Scalar]
    blocks: int
    step_size: int

    @property
    def heads(self) -> int:
        """Parts of a slower level."""
        return int(self.options["heads"])

    def present(self, depth: int, step: int, total_steps: int) -> int:
        """Levels, of `depth` in the end, in the step after `step` done ones: the last comes at the fraction `stack`."""
        stack, progress = float(self.options["stack"]), (step + 0.5) / total_steps
        return sum(progress >= stack * level / max(1, depth - 1) for level in range(depth))

    def depth(self, block: int) -> int:
        """Levels of a block."""
        return self.variant.depth(block, self.blocks, int(self.options["levels"]))

    def schedule(self, block: int, level: int, head: int = 0) -> Schedule:
        """When a level of a block, or one part of it, fires. One whose period is no longer than a step always does."""
        period = int(self.options["first"]) * int(self.options["ratio"]) ** level
        if period <= self.step_size:
            return Schedule(period=self.step_size)
        at = block * self.heads + head
        return Schedule(period=period, phase=self.variant.phase(at, self.blocks * self.heads, period))

    def restart(self, block: int, level: int) -> Schedule | None:
        """When a level's start is learned and put back, if it is."""
        slower = self.variant.start(level, self.depth(block))
        return None if slower is None else self.schedule(block, slower)

    def pulse(self, step: int, schedules: tuple[Schedule, ...]) -> Pulse:
        """The pulse of the optimizer step that follows `step` done ones. Nothing fires before the first step."""
        before, after = step * self.step_size, (step + 1) * self.step_size
        boundaries = tuple(schedule.boundary(after) for schedule in schedules)
        return Pulse(step=step, active=tuple(at > before for at in boundaries), boundaries=boundaries)

    def always(self, seed: int, step: int, total_steps: int) -> bool:
        """Whether in the step that follows `step` done ones every level is read, whatever learned gates say.

        Drawn from (seed, step) with a probability that falls from 1 to 0 over the fraction `anneal` of the budget.
        """
        anneal, progress = float(self.options["anneal"]), (step + 0.5) / total_steps
        chance = 1.0 - progress / anneal if anneal > 0 else 0.0
        return random.Random(f"{seed} {step}").random() < chance

    def echo(self) -> dict[str, Scalar]:
        """The recipe fields in use."""
        return {"cms": self.name, **{f"cms.{key}": value for key, value in self.options.items()}}


def continuum(recipe: Recipe) -> Continuum | None:
    """The levels that a recipe names; None where it names none."""
    if recipe.cms == NONE:
        return None
    options = recipe.option("cms")
    size = recipe.step_bytes if options["unit"] == "token" else 1
    variant: Variant = cms[recipe.cms]
    return Continuum(name=recipe.cms, variant=variant, options=options, blocks=recipe.blocks, step_size=size)


def share(buffer: str, count: int) -> float:
    """What the sum of `count` gathered gradients is multiplied by."""
    return {"sum": 1.0, "mean": 1.0 / count, "sqrt": 1.0 / math.sqrt(count)}[buffer]
