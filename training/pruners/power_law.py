"""Power law: extrapolate a run's own curve to its end, and stop it where even a kind reading ends badly.

b + a t^-p is fitted to the run's values; the kind reading is the fit's end less 1.96 standard deviations of what the
fit leaves. A schedule whose learning rate falls ends lower than such a fit, so the limit is the median of the finals.
"""

from statistics import median

import numpy as np

from training.pruners import Curve, Pruner, RunFacts, Verdict, spared
from training.pruners.short_schedules import promotions

about = {
    "help": "stops a run whose extrapolated end is worse than the median of finished runs",
    "source": "Domhan et al. 2015 (extrapolation of learning curves), with one power law",
}

ENOUGH_PEERS, ENOUGH_POINTS = 5, 5
POWERS = np.linspace(0.1, 0.9, 41)
WIDTH = 1.96


def extrapolated(curve: Curve) -> tuple[float, float]:
    """Value at the end by the best power law that falls or stays, and the standard deviation that the fit leaves."""
    t, y = np.array(curve, dtype=float).T
    shapes = t[None, :] ** -POWERS[:, None]
    centred = shapes - shapes.mean(axis=1, keepdims=True)
    slopes = np.maximum(centred @ (y - y.mean()) / (centred**2).sum(axis=1), 0)
    left = ((y - y.mean() - slopes[:, None] * centred) ** 2).sum(axis=1)
    best = int(left.argmin())
    end = y.mean() + slopes[best] * (1 - shapes[best].mean())
    return float(end), float(np.sqrt(left[best] / max(len(t) - 3, 1)))


def survives(facts: RunFacts) -> Verdict:
    """Stop a run whose kindly read end is above the median of the finals."""
    finals = [curve[-1][1] for curve in facts.peers if curve and curve[-1][0] == 1]
    if kept := spared(facts, len(finals), ENOUGH_PEERS):
        return kept
    numbers = {"phase": facts.phase, "bpb": facts.bpb, "points": float(len(facts.curve))}
    if len(facts.curve) < ENOUGH_POINTS:
        return Verdict(action="continue", reason="too_few_points", numbers=numbers)
    end, deviation = extrapolated(facts.curve)
    numbers |= {"end": end, "deviation": deviation, "limit": median(finals)}
    if end - WIDTH * deviation > numbers["limit"]:
        return Verdict(action="prune", reason="ends_above_median", numbers=numbers)
    return Verdict(action="continue", reason="may_end_below_median", numbers=numbers)


power_law = Pruner(about=about, survives=survives, promotions=promotions)
