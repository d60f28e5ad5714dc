"""How good is a pruner on real learning curves? Replays recorded races; every number is exactly reproducible.

    python benchmarks/pruners.py            the odd-numbered races: our pruner, others where installed, none
    python benchmarks/pruners.py --choose   the even-numbered races: the settings among which ours were chosen

Gain: expected trainings until one of a race's three best runs is complete, without pruning over with it, a race that
never completes one being started again; geometric mean over races, with a bootstrap over races.
"""

import argparse
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from statistics import fmean, median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from benchmarks import tell
from benchmarks.pruner_policies import peers, race_aware
from benchmarks.pruner_replay import BUDGETS, Policy, pool, stream
from training.foresight import Settings

DATA = Path(__file__).parent / "data" / "pruner_bench"
LIMITS = {"pgval": 1.32, "pgolf": 1.0}
"""Gain of the best known pruner, and that of none."""

NEVER = 0.02
"""Gain in a race in which no repetition completed one of the three best."""

Races = Mapping[str, Any]
Make = Callable[[int, str, int], Any]


def load(path: Path, parity: int | None) -> Races:
    """The races of a bank: even-numbered (0), odd-numbered (1) or all (None)."""
    with np.load(path) as bank:
        names = sorted(name.removesuffix("/y") for name in bank.files if name.endswith("/y"))
        chosen = [name for at, name in enumerate(names) if parity is None or at % 2 == parity]
        return {name: bank[f"{name}/y"].astype(float) for name in chosen}


def trainings(results: Sequence[Mapping[str, Any]]) -> float | None:
    """Expected trainings until a hit when a race without one is started again; None when there was none at all."""
    hits = sum(result["trainings"] is not None for result in results)
    spent = sum(result["all"] if result["trainings"] is None else result["trainings"] for result in results)
    return spent / hits if hits else None


def pool_gains(make: Make, races: Races, reps: int, workers: int) -> tuple[list[float], float, float]:
    """Gain in each race; share of repetitions that completed the best run; median share of compute."""
    gains, results = [], []
    for name, values in races.items():
        plain = trainings([pool(Policy, name, values, rep, workers) for rep in range(reps)])
        ours = [pool(make, name, values, rep, workers) for rep in range(reps)]
        found = trainings(ours)
        assert plain is not None, "without pruning every run is completed"
        gains.append(plain / found if found else NEVER)
        results += ours
    return gains, fmean(one["kept"] for one in results), median(one["cost"] for one in results)


def stream_margins(make: Make, races: Races, reps: int, workers: int) -> dict[int, tuple[list[float], float, float]]:
    """After each budget: won minus lost in each race, as shares; shares won and lost over all."""
    found: dict[int, list[list[float]]] = {budget: [] for budget in BUDGETS}
    for name, values in races.items():
        for budget in BUDGETS:
            found[budget].append([])
        for rep in range(reps):
            plain, ours = (stream(one, name, values, rep, workers) for one in (Policy, make))
            for budget in BUDGETS:
                gap = plain[budget] - ours[budget]
                found[budget][-1].append(0.0 if abs(gap) < 1e-9 else math.copysign(1, gap))
    shares = {budget: [gap for race in each for gap in race] for budget, each in found.items()}
    return {
        budget: (
            [fmean(race) for race in each],
            fmean(gap > 0 for gap in shares[budget]),
            fmean(gap < 0 for gap in shares[budget]),
        )
        for budget, each in found.items()
    }


def interval(values: Sequence[float], draws: int = 4000) -> tuple[float, float]:
    """95 % interval of the mean by bootstrap over races."""
    drawn = np.random.default_rng(0).choice(np.asarray(values), (draws, len(values))).mean(axis=1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(low), float(high)


def report(bank: str, name: str, make: Make, races: Races, reps: int, workers: int, streams: bool) -> None:
    """One pruner on one bank: a line of JSON, and one of a table on stderr."""
    gains, kept, cost = pool_gains(make, races, reps, workers)
    logs = [math.log(gain) for gain in gains]
    low, high = (math.exp(end) for end in interval(logs))
    gain = math.exp(fmean(logs))
    detail: dict[str, Any] = {"low": low, "high": high, "worst_race": min(gains), "best_kept": kept, "cost": cost}
    if streams:
        for budget, (margins, won, lost) in stream_margins(make, races, reps, workers).items():
            bounds = tuple(round(end, 3) for end in interval(margins))
            detail[f"stream_{budget}"] = {"won": round(won, 3), "lost": round(lost, 3), "interval": bounds}
    promised = name == "race_aware" and workers == 4
    metric = f"pruners.{bank}_gain_top3" if promised else f"pruners.{bank}.{name}.{workers}"
    limit = LIMITS.get(bank) if promised else None
    detail |= {"pruner": name, "workers": workers, "races": len(races), "repetitions": reps}
    tell(metric, gain, "ratio", limit, gain >= limit if limit else None, **rounded(detail))
    won_lost = "  ".join(f"{detail[key]['won']:.0%}-{detail[key]['lost']:.0%}" for key in detail if "stream_" in key)
    row = f"| {bank} | {name} | {workers} | {cost:.2f} | {kept:.0%} | {gain:.2f} [{low:.2f}, {high:.2f}] |"
    print(f"{row} {min(gains):.2f} | {won_lost} |", file=sys.stderr, flush=True)


def rounded(detail: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers with four digits after the point."""
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in detail.items()}


def choices() -> list[Settings]:
    """The settings that were compared, on even-numbered races alone."""
    grid = product((0.1, 0.15, 0.2), (4.0, 8.0, 16.0), (0.0, 0.5))
    return [Settings(top=top, prior_runs=runs, fade=fade) for top, runs, fade in grid]


def choose(banks: Sequence[Path], reps: int) -> None:
    """Tell every choice's gains, and won minus lost after 20 and 40 trainings, with 4 workers."""
    for settings in choices():
        gains, margins = [], []
        for path in banks:
            races = load(path, 0)
            gains.append(math.exp(fmean(map(math.log, pool_gains(race_aware(settings), races, reps, 4)[0]))))
            found = stream_margins(race_aware(settings), races, reps, 4)
            margins += [round(found[budget][1] - found[budget][2], 3) for budget in (20, 40)]
        name = f"pruners.choice.{settings.top:g}.{settings.prior_runs:g}.{settings.fade:g}"
        both = math.exp(fmean(map(math.log, gains)))
        tell(name, both, "ratio", gains=[round(gain, 3) for gain in gains], stream_margins=margins, repetitions=reps)


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of banks, or one bank (.npz)")
    parser.add_argument("--choose", action="store_true", help="compare settings on the even-numbered races")
    parser.add_argument("--all", action="store_true", help="report on all races: for a bank nothing was chosen on")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--reps", type=int, default=20)
    parser.add_argument("--only", nargs="+", help="names of pruners")
    parser.add_argument("--quick", action="store_true", help="ours alone, 4 workers, 4 repetitions")
    options = parser.parse_args()
    banks = [options.data] if options.data.is_file() else sorted(options.data.glob("*.npz"), reverse=True)
    if options.choose:
        return choose(banks, options.reps)
    reps, workers = (4, [4]) if options.quick else (options.reps, options.workers)
    pruners: dict[str, Make] = {"none": Policy, "race_aware": race_aware(), **peers()}
    names = ["race_aware"] if options.quick else options.only or list(pruners)
    for path, count, name in product(banks, workers, names):
        races = load(path, None if options.all else 1)
        report(path.stem, name, pruners[name], races, reps, count, streams=True)


if __name__ == "__main__":
    main()
