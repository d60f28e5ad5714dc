"""Pruners: pure decisions about what runs on. One file, one pruner; no torch, no database, no clock.

A pruner answers two questions. `survives`: does this run go on after the value it has just got? `promotions`: which
recipes of a rung move to the next one? Both take plain values and give back the numbers that they rest on.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, Protocol

from plugins import About, Plugins

Curve = Sequence[tuple[float, float]]
"""(phase, bits per byte) of one run, phase rising in (0, 1]."""


class RunFacts(Protocol):
    """What is known when a run has got a new value."""

    @property
    def phase(self) -> float:
        """Fraction of the run's own schedule that is done, in (0, 1]."""

    @property
    def bpb(self) -> float:
        """The value just measured."""

    @property
    def curve(self) -> Curve:
        """The run's own values so far, this one the last."""

    @property
    def warmup_fraction(self) -> float:
        """No run of the race is stopped before this phase."""

    @property
    def peers(self) -> Sequence[Curve]:
        """Curves of finished runs of other recipes at the same rung."""

    @property
    def incumbent(self) -> bool:
        """Whether this recipe leads the board."""


class Finished(Protocol):
    """One recipe that is through with a rung."""

    @property
    def recipe_digest(self) -> str:
        """The recipe."""

    @property
    def mean(self) -> float | None:
        """Mean bits per byte over the race's seeds; None when a seed was stopped or failed."""

    @property
    def promoted(self) -> bool:
        """Whether it has already been promoted from this rung."""


class RungFacts(Protocol):
    """What is known when a recipe is through with a rung."""

    @property
    def last_rung(self) -> bool:
        """Whether there is no rung above."""

    @property
    def finished(self) -> Sequence[Finished]:
        """Every recipe that is through with this rung, the one that has just finished included."""

    @property
    def eta(self) -> int:
        """One in eta recipes is promoted."""

    @property
    def quorum(self) -> int:
        """Recipes that must be through with the rung before the first is promoted."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether a run goes on, why, and the numbers behind it."""

    action: Literal["continue", "prune"]
    reason: str
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """A recipe that moves to the next rung, why, and the numbers behind it."""

    recipe_digest: str
    reason: str
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Pruner:
    """One pruner: its header and its two decisions."""

    about: About
    survives: Callable[[RunFacts], Verdict]
    promotions: Callable[[RungFacts], list[Promotion]]


pruners = Plugins("training.pruners")


def value_at(curve: Curve, phase: float) -> float | None:
    """The curve's value at a phase, linear between its points; None before its first or after its last point."""
    for (left, low), (right, high) in pairwise(curve):
        if left <= phase <= right:
            return low if right == left else low + (high - low) * (phase - left) / (right - left)
    return next((value for at, value in curve if at == phase), None)


def spared(facts: RunFacts, peers: int, enough: int) -> Verdict | None:
    """The verdict where nobody may be stopped: at the end, before warm-up, in the lead, or with too few peers."""
    reasons = {
        "finished": facts.phase >= 1,
        "warming_up": facts.phase < facts.warmup_fraction,
        "leads_the_board": facts.incumbent,
        "too_few_peers": peers < enough,
    }
    reason = next((reason for reason, holds in reasons.items() if holds), None)
    numbers = {"phase": facts.phase, "bpb": facts.bpb, "peers": float(peers)}
    return None if reason is None else Verdict(action="continue", reason=reason, numbers=numbers)


def reached(facts: RunFacts, looks: Sequence[float]) -> bool:
    """Whether a value is a run's first at or after one of these phases, if it reports where its peers did."""
    earlier = (phase for curve in facts.peers for phase, _ in curve if phase < facts.phase - 1e-9)
    before = max(earlier, default=0.0)
    return any(before + 1e-9 < look <= facts.phase + 1e-9 for look in looks)
