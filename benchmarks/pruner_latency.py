"""How long a decision takes in a race of 10,000 finished runs with 100 points each, in process."""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from benchmarks import tell
from training.race_of_runs import RaceOfRuns

POINTS, LIMIT_MS = 100, 1.0


def curves(runs: int, seed: int) -> list[list[float]]:
    """Random walks."""
    walk = np.random.default_rng(seed).normal(size=(runs, POINTS)).cumsum(axis=1)
    return [[float(value) for value in row] for row in 3 + 0.01 * walk]


def timed(race: RaceOfRuns, fresh: list[list[float]], first: int) -> tuple[list[float], list[float]]:
    """Milliseconds of processor time of every value with its decision, and of those at looks alone."""
    every, looks = [], []
    for run, curve in enumerate(fresh, start=first):
        for point, value in enumerate(curve, start=1):
            began = time.process_time()
            race.observe(run, value)
            advice = race.advise(run)
            race.next()
            every.append((time.process_time() - began) * 1000)
            if point in race.looks:
                looks.append(every[-1])
            if advice.action == "pause":
                race.pause(run)
                break
    return every, looks


def main() -> None:
    """Fill a race, then time fresh runs in it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="1,000 finished runs in place of 10,000")
    finished, fresh = (1_000, 200) if parser.parse_args().quick else (10_000, 1_000)
    race = RaceOfRuns(POINTS)
    for run, curve in enumerate(curves(finished, 0)):
        for value in curve:
            race.observe(run, value)
    every, looks = timed(race, curves(fresh, 1), finished)
    for name, times in (("pruners.decision_p99_ms", every), ("pruners.decision_at_look_p99_ms", looks)):
        p99 = float(np.quantile(times, 0.99))
        detail = {"p50": round(float(np.median(times)), 4), "worst": round(max(times), 3), "decisions": len(times)}
        tell(name, p99, "ms", LIMIT_MS, p99 < LIMIT_MS, finished=finished, points=POINTS, **detail)


if __name__ == "__main__":
    main()
