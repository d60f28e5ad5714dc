"""A race of runs that may be paused: which run to train next, and what becomes of one at a look.

For whoever can pause a run and resume it from its checkpoint. The judgement is in `training.foresight`; here are the
places that it rests on, kept up to date in sorted lists, so that a decision costs O(log n) however many runs there are.
"""

import math
from bisect import bisect_left, insort
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from training.foresight import (
    Settings,
    chances,
    faded_mean,
    measured,
    normal_score,
    prior,
    trusted,
    worths,
)

MEMORY = 6
"""Values that a score is made of at most; by then `fade` has left little of the first."""


@dataclass(frozen=True, kw_only=True)
class Advice:
    """What should become of a run, why, and the numbers behind it. `promote`: it has passed a look."""

    action: Literal["continue", "promote", "pause", "stop"]
    reason: str
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(kw_only=True)
class Look:
    """One phase at which runs are compared: the scores seen there, and of those the ones that wait."""

    scores: list[float] = field(default_factory=list)
    waiting: list[tuple[float, int, Hashable]] = field(default_factory=list)


class RaceOfRuns:
    """Values of runs at the phases 1/points, 2/points, ..., 1, lower is better; ids are the caller's."""

    def __init__(self, points: int, *, warmup: float = 0.1, settings: Settings | None = None) -> None:
        self.points, self.settings = points, settings or Settings()
        at = sorted({math.ceil(phase * points - 1e-9) for phase in self.settings.looks})
        self.looks = {point: Look() for point in at if warmup * points <= point < points}
        self.order = {point: at for at, point in enumerate(self.looks)}
        self.seen: list[list[float]] = [[] for _ in range(points)]
        self.curves: dict[Hashable, list[float]] = {}
        self.scores: dict[Hashable, dict[int, float]] = {}
        self.finals: list[tuple[float, Hashable]] = []
        self.paused: dict[Hashable, tuple[int, tuple[float, int, Hashable]]] = {}
        self.phases = np.array([point / points for point in self.looks])
        self.learn()

    def observe(self, run: Hashable, value: float) -> None:
        """The next value of a run; its last one makes it complete."""
        curve = self.curves.setdefault(run, [])
        curve.append(value)
        point = len(curve)
        insort(self.seen[point - 1], value)
        if point in self.looks:
            score = self.score(curve)
            self.scores.setdefault(run, {})[point] = score
            insort(self.looks[point].scores, score)
        if point == self.points:
            self.finals.append((value, run))
            if len(self.finals) - self.learned >= max(1, len(self.finals) // 50):
                self.learn()

    def advise(self, run: Hashable, *, ideas: bool = True) -> Advice:
        """What should become of a run after its latest value; asking again changes nothing. ideas: whether runs that
        have not begun are to be had."""
        point = len(self.curves[run])
        if point not in self.looks:
            return Advice(action="continue", reason="finished" if point == self.points else "no_look_at_this_phase")
        score, look = self.scores[run][point], self.looks[point]
        place = bisect_left(look.scores, score)
        (worth,), (chance,) = self.prospects([(point, score)])
        others = [self.fresh] if ideas else []
        others += [rate for rate, waiting in self.best_waiting() if waiting != run]
        numbers = {
            "phase": point / self.points,
            "rank": place + 1.0,
            "runs": float(len(look.scores)),
            "complete": float(len(self.finals)),
            "correlation": float(self.correlations[self.order[point]]),
            "chance": chance,
            "worth": worth,
            "best_other": max(others, default=0.0),
        }
        if place == 0:
            return Advice(action="promote", reason="leads_at_this_phase", numbers=numbers | {"expected_loss": 0.0})
        if chance < self.settings.give_up:
            return Advice(action="stop", reason="no_hope", numbers=numbers | {"expected_loss": chance})
        if worth < numbers["best_other"]:
            return Advice(action="pause", reason="others_are_worth_more", numbers=numbers | {"expected_loss": 0.0})
        return Advice(action="promote", reason="worth_the_rest", numbers=numbers | {"expected_loss": 0.0})

    def pause(self, run: Hashable) -> None:
        """Let a run wait at the look that it has reached."""
        point = len(self.curves[run])
        entry = (self.scores[run][point], len(self.paused), run)
        insort(self.looks[point].waiting, entry, key=lambda one: one[:2])
        self.paused[run] = (point, entry)

    def resume(self, run: Hashable) -> None:
        """A run waits no longer."""
        point, entry = self.paused.pop(run)
        self.looks[point].waiting.remove(entry)

    def next(self, *, ideas: bool = True) -> Hashable | None:
        """The waiting run that deserves a free worker; None: begin a new one, or, without ideas, nobody waits."""
        rate, run = max(self.best_waiting(), key=lambda one: one[0], default=(0.0, None))
        return None if ideas and self.fresh >= rate else run

    def score(self, curve: list[float]) -> float:
        """A run's score: the faded mean of its normal scores at its latest points, each among all seen there."""
        latest = range(len(curve), max(0, len(curve) - MEMORY), -1)
        places = [(bisect_left(self.seen[at - 1], curve[at - 1]), len(self.seen[at - 1])) for at in latest]
        return faded_mean([normal_score(*place) for place in places], self.settings.fade)

    def prospects(self, standing: Sequence[tuple[int, float]]) -> tuple[list[float], list[float]]:
        """What runs are worth, and their chances to end among the best. standing: (look, score) of each."""
        at = [self.order[point] for point, _ in standing]
        lists = [(self.looks[point].scores, score) for point, score in standing]
        z = [normal_score(bisect_left(scores, score), len(scores)) for scores, score in lists]
        means, sds = self.correlations[at] * z, self.sds[at]
        worth = worths(means, sds, self.phases[at], self.phases, self.sds, self.settings.top)
        return worth.tolist(), chances(means, sds, self.settings.top).tolist()

    def best_waiting(self) -> list[tuple[float, Hashable]]:
        """(worth, run) of the first that waits at each look: of a look's runs the one with the best score."""
        first = [(point, look.waiting[0]) for point, look in self.looks.items() if look.waiting]
        if not first:
            return []
        worth, _ = self.prospects([(point, entry[0]) for point, entry in first])
        return [(rate, entry[2]) for rate, (_, entry) in zip(worth, first, strict=True)]

    def learn(self) -> None:
        """Measure anew what early values are worth, from complete runs alone."""
        self.learned = len(self.finals)
        finals = np.array([value for value, _ in self.finals])
        found = [prior(phase) for phase in self.phases]
        for at, point in enumerate(self.looks):
            early = np.array([self.scores[run][point] for _, run in self.finals])
            found[at] = measured(early, finals, float(self.phases[at]), self.settings)
        self.correlations = trusted(found)
        self.sds = np.sqrt(1 - self.correlations**2)
        zero, one = np.zeros(1), np.ones(1)
        self.fresh = float(worths(zero, one, zero, self.phases, self.sds, self.settings.top)[0])
