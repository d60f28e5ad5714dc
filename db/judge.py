"""Judge: what the store asks before it stops a run or moves a recipe up, and the facts it hands over.

The answers are pure decisions of plain values and live above this package; the store keeps them with their numbers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

Curve = tuple[tuple[float, float], ...]
"""(step / total_steps, bits per byte) of one run, in the order of its steps."""


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What is known when a run has got a new measured value. `peers`: measured runs of other recipes at this rung.

    curve: the run's own measured values so far, this one the last.
    """

    rung: int
    phase: float
    bpb: float
    curve: Curve
    warmup_fraction: float
    eta: int
    peers: tuple[Curve, ...]
    incumbent: bool
    pruner: str


class Finished(NamedTuple):
    """A recipe that is through with a rung. `mean` is None when it was lost: a seed was stopped or failed.

    A tuple, because a decision may rest on thousands of them.
    """

    recipe_digest: str
    mean: float | None
    n: int
    promoted: bool


@dataclass(frozen=True, kw_only=True)
class RungFacts:
    """What is known when a recipe is through with a rung. `finished` is in no order."""

    rung: int
    last_rung: bool
    finished: tuple[Finished, ...]
    unfinished: int
    eta: int
    quorum: int
    pruner: str


class Verdict(Protocol):
    """Whether a run goes on ("continue") or stops ("prune"), why, and the numbers behind it."""

    @property
    def action(self) -> str:
        """`continue` or `prune`."""

    @property
    def reason(self) -> str:
        """One word or short phrase."""

    @property
    def numbers(self) -> Mapping[str, float | int | str]:
        """What the decision rests on."""


class Promotion(Protocol):
    """A recipe that moves to the next rung, why, and the numbers behind it."""

    @property
    def recipe_digest(self) -> str:
        """Who."""

    @property
    def reason(self) -> str:
        """One word or short phrase."""

    @property
    def numbers(self) -> Mapping[str, float | int | str]:
        """What the decision rests on."""


class Judge(Protocol):
    """Who decides."""

    def survives(self, facts: RunFacts) -> Verdict:
        """Whether a run goes on after its last value."""

    def promotions(self, facts: RungFacts) -> Sequence[Promotion]:
        """Recipes that move from this rung to the next; one that is promoted already is not named again."""

    def steps(self, recipe_canonical: str, budget_bytes: int) -> int:
        """Optimizer steps that a recipe makes of a budget; at least 1."""
