"""Foresight: what a run's early values tell about its end, as measured in the race itself. Pure functions; no torch.

The world is one of ranks, so units and outliers do not matter: a run's place among the others at a look becomes a
normal score z, and its final score is taken as normal with mean r z and variance 1 - r^2. r is the correlation of early
and final scores of the race's complete runs, shrunk towards a prior. Method and figures: docs/pruners.md.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
NORMAL = NormalDist()

NODES = np.array([NORMAL.inv_cdf((node + 0.5) / 15) for node in range(15)])
"""Equally likely values of a standard normal, best first: they stand for what a later look may show."""

TABLE = np.array([NORMAL.inv_cdf((cell + 0.5) / 4096) for cell in range(4096)])


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the method assumes. docs/pruners.md tells how the values were chosen.

    top: a run succeeds when it ends in this best part of its race. looks: phases at which runs are compared; each
    doubles what the one before had cost. prior_runs: complete runs that the prior correlation is worth. fade: weight of
    a value against the next one in a run's score: noise is averaged out. worse_half: weight of a run of the worse half
    where correlation is measured, for races are decided in the better one. give_up: below this chance a run is stopped
    for good instead of paused.
    """

    top: float = 0.15
    looks: tuple[float, ...] = (0.125, 0.25, 0.5)
    prior_runs: float = 8.0
    fade: float = 0.5
    worse_half: float = 0.25
    give_up: float = 0.0


def normal_score(better: int, runs: int) -> float:
    """The normal score of a place: how many are better, of how many."""
    return NORMAL.inv_cdf(min(better + 0.5, runs - 0.25) / runs)


def normal_scores(values: Floats) -> Floats:
    """The normal scores of values among themselves, the lowest value first; ties by position."""
    places = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    cells = ((places + 0.5) / len(values) * len(TABLE)).astype(int)
    scores: Floats = TABLE[cells]
    return scores


def faded_mean(scores: Sequence[float], fade: float) -> float:
    """Mean of a run's scores, the latest first, each weighing `fade` of the one before it in the list."""
    weights = fade ** np.arange(len(scores))
    return float(np.dot(weights, scores) / weights.sum())


def prior(phase: float) -> float:
    """Correlation of a random walk's value at a phase with its end."""
    return math.sqrt(phase)


def measured(early: Floats, finals: Floats, phase: float, settings: Settings) -> float:
    """Correlation of early scores with finals among complete runs, shrunk towards the prior."""
    runs = len(finals)
    if runs < 3:
        return prior(phase)
    x, y = normal_scores(early), normal_scores(finals)
    weights = np.where(x > 0, settings.worse_half, 1.0)
    weights /= weights.sum()
    x, y = x - weights @ x, y - weights @ y
    spread = float(np.sqrt((weights @ x**2) * (weights @ y**2)))
    found = float(weights @ (x * y)) / max(spread, 1e-9)
    return (settings.prior_runs * prior(phase) + runs * found) / (settings.prior_runs + runs)


def trusted(correlations: Sequence[float]) -> Floats:
    """Correlations as they are used: none below 0.02, and a later look knows no less than an earlier one."""
    growing: Floats = np.maximum.accumulate(np.clip(np.asarray(correlations, dtype=float), 0.02, 0.98))
    return growing


def below(x: Floats) -> Floats:
    """The standard normal distribution function, to 7.5e-8 (Abramowitz, Stegun 26.2.17)."""
    t = 1 / (1 + 0.2316419 * np.abs(x))
    series = t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
    tail = np.exp(-x * x / 2) / np.sqrt(2 * np.pi) * series
    under: Floats = np.where(x > 0, 1 - tail, tail)
    return under


def chances(means: Floats, sds: Floats, top: float) -> Floats:
    """Probability of a final score among the best `top`."""
    return below((NORMAL.inv_cdf(top) - means) / sds)


def worths(means: Floats, sds: Floats, done: Floats, phases: Floats, look_sds: Floats, top: float) -> Floats:
    """Successes per training that each run offers at best: by being trained to its end, or until a later look shows
    that it is not among the best so many that are worth the rest. It is Gittins' index with one look ahead.

    means, sds: of the final score, as known now. done: phase reached, 0 for a run not begun. phases, look_sds: of the
    looks, the latter non-increasing.
    """
    at_once = chances(means, sds, top) / (1 - done)
    later = np.minimum(look_sds[None, :], sds[:, None] * 0.9999)
    moves = np.sqrt(sds[:, None] ** 2 - later**2)
    shown = means[:, None, None] + moves[:, :, None] * NODES
    won = chances(shown, later[:, :, None], top).cumsum(axis=2) / len(NODES)
    kept = np.arange(1, len(NODES) + 1) / len(NODES)
    ahead = phases[None, :] - done[:, None]
    cost = ahead[:, :, None] + (1 - phases)[None, :, None] * kept
    rates = np.where((ahead > 1e-9)[:, :, None], won / np.maximum(cost, 1e-9), 0.0)
    best: Floats = np.maximum(at_once, rates.max(axis=(1, 2), initial=0.0))
    return best
