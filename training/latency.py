"""Latency: how long calls took, told as mean, worst and 99th percentile, in memory that does not grow."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

RECENT = 4096
"""Calls whose times are kept for the percentile; mean and worst are over all calls."""


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Of `count` calls, in milliseconds. p99 is over the last RECENT of them. None where there was no call."""

    count: int
    mean_ms: float | None = None
    worst_ms: float | None = None
    p99_ms: float | None = None


class Latency:
    """The times of one kind of call."""

    def __init__(self) -> None:
        self.count, self.total, self.worst = 0, 0.0, 0.0
        self.recent: deque[float] = deque(maxlen=RECENT)

    def record(self, seconds: float) -> None:
        """One call."""
        self.count, self.total, self.worst = self.count + 1, self.total + seconds, max(self.worst, seconds)
        self.recent.append(seconds)

    def figures(self) -> Figures:
        """What was recorded."""
        if not self.count:
            return Figures(count=0)
        mean, p99 = self.total / self.count, nearest_rank(self.recent, 0.99)
        return Figures(count=self.count, mean_ms=1e3 * mean, worst_ms=1e3 * self.worst, p99_ms=1e3 * p99)


def nearest_rank(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed; 0 < share <= 1."""
    return sorted(values)[max(1, math.ceil(share * len(values))) - 1]
