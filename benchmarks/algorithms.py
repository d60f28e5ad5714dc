"""Every algorithm of a recipe against the plain one, at equal processor time, on the embedded corpus.

`.venv/bin/python benchmarks/algorithms.py [--quick] [--seconds S] [--only NAME ...]` first measures what a step of each
recipe costs over a short complete run, then gives each the number of steps that fits S seconds of processor time on
one thread. Seed by seed, the recipes take turns. It prints a JSON line a run and a recipe; differences to `plain` are
paired by seed, with their 95 % interval (Student's t). A budget of seconds is no verdict on a method, only on it at
this size.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from time import process_time
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import torch

from benchmarks import tell
from training.corpora import resolve
from training.corpus import build
from training.memory_pool import keep_freed_memory
from training.recipe import recipe_from
from training.run import Run
from training.windows import as_tensor

PLAIN: Mapping[str, Any] = {"composition": "attention", "rule": "none"}
SSM: Mapping[str, Any] = {"composition": "ssm", "rule": "none"}

RULES = ("hebbian", "delta", "titans", "moneta", "yaad", "memora", "lattice", "trellis", "atlas")
"""Memory rules that `mag_NAME` puts beside window attention."""

RECIPES: Mapping[str, Mapping[str, Any]] = {
    "plain": PLAIN,
    "two_blocks": {**PLAIN, "blocks": 2},
    "memory": {},
    "jepa": {**PLAIN, "auxiliary": "jepa"},
    "nca": {**PLAIN, "auxiliary": "nca"},
    "universal": {**PLAIN, "loops": 3},
    "late_loop": {**PLAIN, "loops": 2, "loop_start": 0.5},
    "phi_nta": {**PLAIN, "adapter": "phi_nta"},
    "ssm": SSM,
    "ssm_attention": {**SSM, "ssm.attention": True},
    "ttt_sgd": {**PLAIN, "ttt": "sgd"},
    "ttt_e2e": {**PLAIN, "ttt": "e2e"},
    **{f"mag_{rule}": {"rule": rule} for rule in RULES},
}

SEEDS = (1597, 2584, 4181)

STUDENT = {1: 12.706, 2: 4.303}
"""97.5 % quantile of Student's t by degrees of freedom."""


TURN = 10
"""Steps that a recipe takes before the next one has its turn, while costs are measured: what else runs hits all."""


def step_seconds(names: Sequence[str], train: torch.Tensor, steps: int) -> dict[str, float]:
    """Recipe -> processor seconds of a step, over a short complete run: what sets in late counts with its share."""
    runs = {name: Run(recipe_from(RECIPES[name]), 0, steps + 1) for name in names}
    spent = dict.fromkeys(runs, 0.0)
    for run in runs.values():
        run.train(train)
    for _ in range(steps // TURN):
        for name, run in runs.items():
            began = process_time()
            for _ in range(TURN):
                run.train(train)
            spent[name] += process_time() - began
    return {name: seconds / steps for name, seconds in spent.items()}


def one_run(
    name: str, seed: int, steps: int, train: torch.Tensor, validation: bytes, documents: Sequence[int]
) -> tuple[float, float]:
    """Train a recipe from its start to its end and score validation -> (bpb, processor seconds of training)."""
    run = Run(recipe_from(RECIPES[name]), seed, steps)
    began = process_time()
    for _ in range(steps):
        run.train(train)
    seconds = process_time() - began
    bpb = run.measure(validation, documents).bpb
    tell(f"algorithms.run.{name}", bpb, "bpb", seed=seed, steps=steps, seconds=round(seconds, 2))
    return bpb, seconds


def report(name: str, runs: list[tuple[float, float]], plain: list[tuple[float, float]], cost: float) -> None:
    """Mean and sd over the seeds, and the paired difference to the plain recipe."""
    recipe, bpb = recipe_from(RECIPES[name]), [value for value, _ in runs]
    weights = sum(p.numel() for key, p in Run(recipe, 0, 1).model.named_parameters() if key != "tables")
    shape = {
        "sd": round(stdev(bpb), 5),
        "step_ms": round(1000 * cost, 2),
        "seconds": round(mean(t for _, t in runs), 2),
        "dense_weights": weights,
    }
    difference = [one - other for (one, _), (other, _) in zip(runs, plain, strict=True)]
    half = STUDENT[len(bpb) - 1] * stdev(difference) / len(bpb) ** 0.5
    told = {"difference": round(mean(difference), 5), "half_width": round(half, 5)}
    tell(f"algorithms.{name}", mean(bpb), "bpb", seeds=len(bpb), digest=recipe.digest[:12], **shape, **told)


def main() -> None:
    """Measure the cost of a step, then run every recipe with every seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="about a minute")
    parser.add_argument("--seconds", type=float, default=25.0, help="processor seconds of a run")
    parser.add_argument("--only", nargs="+", choices=RECIPES, help="these recipes, and plain")
    options = parser.parse_args()
    seconds, seeds, trial = (1.0, SEEDS[:2], 20) if options.quick else (options.seconds, SEEDS, 200)
    torch.set_num_threads(1)
    keep_freed_memory()
    source = resolve("stdlib")
    built = build(source.name, source.documents(), source=source.note)
    train, validation = as_tensor(built.texts["train"]), built.texts["validation"]
    documents = built.manifest.splits["validation"].lengths
    names = [name for name in RECIPES if options.only is None or name in {"plain", *options.only}]
    costs = step_seconds(names, train, trial)
    steps = {name: max(1, round(seconds / cost)) for name, cost in costs.items()}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for seed in seeds:
        for name in names:
            found[name].append(one_run(name, seed, steps[name], train, validation, documents))
    for name, runs in found.items():
        report(name, runs, found["plain"], costs[name])


if __name__ == "__main__":
    main()
