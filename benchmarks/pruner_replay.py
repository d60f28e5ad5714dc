"""Replay of recorded learning curves through a pruner, in two protocols. Nothing is timed: equal input, equal output.

A race is a matrix, one run a row, lower is better. One point costs one unit on one worker; pausing and resuming are
free. `pool`: every run of the race arrives once, in an order set by race and repetition, and the race ends when
nothing is left to do. `stream`: runs arrive for ever, drawn with replacement, and compute ends after 40 trainings.
"""

import heapq
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BUDGETS = (5, 10, 20, 40)
"""Trainings of compute after which the best complete run of a stream is looked at."""

NOTHING_YET = 1.5
"""Regret of a stream that has not completed a run."""

Values = NDArray[np.float64]


class Policy:
    """A pruner in a race; this one runs everything to its end."""

    def __init__(self, points: int, race: str, repetition: int) -> None:
        self.points = points

    def start(self, run: int) -> None:
        """A run has begun."""

    def report(self, run: int, point: int, value: float) -> str:
        """`go`, `stop` or `pause` after a value that is not the last one."""
        return "go"

    def complete(self, run: int, value: float) -> None:
        """A run has reached its end."""

    def next(self, can_new: bool) -> tuple[Any, ...] | None:
        """What a free worker does: ("new",), ("resume", run) or None."""
        return ("new",) if can_new else None


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """Points used in all; (points used by then, run, final) of every complete run; runs begun."""

    used: int
    complete: list[tuple[int, int, float]]
    begun: int


def replay(policy: Policy, values: Values, order: Any, workers: int, budget: float = float("inf")) -> Replayed:
    """Run a race. Events are ordered by time and worker."""
    runs, points = values.shape
    events: list[tuple[int, int, int]] = []
    idle: set[int] = set()
    reached = [0] * runs
    complete = []
    used = begun = 0

    def assign(worker: int, now: int) -> None:
        nonlocal begun
        action = policy.next(begun < runs)
        if action is None or (action[0] == "new" and begun >= runs):
            idle.add(worker)
            return
        if action[0] == "new":
            run, begun = int(order[begun]), begun + 1
            policy.start(run)
        else:
            run = action[1]
        heapq.heappush(events, (now + 1, worker, run))

    for worker in range(workers):
        assign(worker, 0)
    while events and used < budget:
        now, worker, run = heapq.heappop(events)
        used, reached[run] = used + 1, reached[run] + 1
        value, answer = float(values[run, reached[run] - 1]), "end"
        if reached[run] == points:
            policy.complete(run, value)
            complete.append((used, run, value))
        else:
            answer = policy.report(run, reached[run], value)
        if answer == "go":
            heapq.heappush(events, (now + 1, worker, run))
            continue
        assign(worker, now)
        for other in sorted(idle - {worker}):
            idle.discard(other)
            assign(other, now)
    return Replayed(used=used, complete=complete, begun=begun)


def generator(text: str) -> np.random.RandomState:
    """The random generator of that name."""
    return np.random.RandomState(zlib.crc32(text.encode()))


def pool(make: Any, race: str, values: Values, repetition: int, workers: int) -> Mapping[str, Any]:
    """trainings: used when the first of the three best runs was complete, or None; all: used at the end; kept: whether
    the best run was completed; cost: share of all points used."""
    order = generator(f"{race}/{repetition}").permutation(len(values))
    done = replay(make(values.shape[1], race, repetition), values, order, workers)
    finals, points = values[:, -1], values.shape[1]
    third = np.sort(finals)[min(2, len(finals) - 1)]
    hit = next((used / points for used, _, value in done.complete if value <= third + 1e-12), None)
    best = min((value for _, _, value in done.complete), default=np.inf)
    kept = bool(best <= finals.min() + 1e-12)
    return {"trainings": hit, "all": done.used / points, "kept": kept, "cost": done.used / values.size}


def stream(make: Any, race: str, values: Values, repetition: int, workers: int) -> Mapping[int, float]:
    """Regret of the best complete run after each budget: 0 is the pool's best, 1 its median."""
    points = values.shape[1]
    drawn = generator(f"{race}/stream/{repetition}").randint(0, len(values), size=BUDGETS[-1] * points + 64)
    rows = values[drawn]
    done = replay(make(points, race, repetition), rows, np.arange(len(rows)), workers, BUDGETS[-1] * points)
    finals = values[:, -1]
    scale = max(float(np.median(finals) - finals.min()), 1e-12)
    found = {}
    for budget in BUDGETS:
        best = min((value for used, _, value in done.complete if used <= budget * points), default=None)
        found[budget] = NOTHING_YET if best is None else min(float(best - finals.min()) / scale, 3.0)
    return found
