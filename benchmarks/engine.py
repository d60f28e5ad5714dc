"""Speed of the engine on this machine: training bytes a second, seconds of a scoring and of a checkpoint, and the rate
of every rule and composition beside a plain transformer (`benchmarks.rates`; `--only rates` measures that alone).

`.venv/bin/python benchmarks/engine.py [--quick]` prints a JSON line a measurement, and a line for people on stderr.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import torch

from benchmarks import tell
from benchmarks.rates import rates
from tests.serving import TINY
from training.artifacts import ArtifactFolder
from training.environment import environment
from training.memory_pool import keep_freed_memory
from training.recipe import recipe_from
from training.run import Run
from training.scorer import score
from training.windows import as_tensor

RECIPES: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "adamw": {"optimizer": "adamw"},
    "attention": {"composition": "attention", "rule": "none"},
    "mag_delta": {"composition": "mag", "rule": "delta"},
    "wide": {"width": 128},
    "deep": {"blocks": 2},
}

SCORED_BYTES = 64 * 1024


def text() -> bytes:
    """Real bytes to train on: the project's and Python's own source."""
    files = sorted(Path(torch.__file__).parent.glob("*.py")) + sorted(Path(json.__file__).parent.parent.glob("*.py"))
    return b"".join(file.read_bytes() for file in files)


def measure(name: str, fields: Mapping[str, Any], data: bytes, seconds: float) -> None:
    """Train one recipe for about `seconds`, then score and store it."""
    recipe = recipe_from(fields)
    run = Run(recipe, 0, 10**6)
    train = as_tensor(data[SCORED_BYTES:])
    steps, began = 0, perf_counter()
    while perf_counter() - began < 0.3 * seconds:
        run.train(train)
    began = perf_counter()
    while (passed := perf_counter() - began) < seconds:
        run.train(train)
        steps += 1
    weights = sum(parameter.numel() for parameter in run.model.parameters())
    step = {"ms_a_step": round(1000 * passed / steps, 2), "bytes_a_step": recipe.step_bytes, "weights": weights}
    tell(f"engine.train.{name}", steps * recipe.step_bytes / passed, "byte/s", **step)
    began = perf_counter()
    with run.evaluation_weights():
        result = score(run.predict, data[:SCORED_BYTES], probe_seed=0)
    tell(f"engine.score.{name}", perf_counter() - began, "s", bytes=result.byte_count)
    with tempfile.TemporaryDirectory() as folder:
        began = perf_counter()
        packed = run.checkpoint(environment())
        ArtifactFolder(Path(folder)).put(packed)
        tell(f"engine.checkpoint.{name}", perf_counter() - began, "s", bytes=len(packed))


def flatness(data: bytes, late: int) -> None:
    """A step late in a run over one at its beginning: two runs of a tiny recipe, steps alternating, medians."""
    recipe = recipe_from(TINY)
    train = as_tensor(data)
    young, old = Run(recipe, 0, 10**6), Run(recipe, 0, 10**6)
    for run, steps in ((young, 100), (old, late)):
        for _ in range(steps):
            run.train(train)
    times: dict[int, list[float]] = {0: [], 1: []}
    for _ in range(200):
        for which, run in enumerate((young, old)):
            began = perf_counter()
            run.train(train)
            times[which].append(perf_counter() - began)
    tell("engine.step_flatness", median(times[1]) / median(times[0]), "ratio", early=100, late=late)


def main() -> None:
    """Measure all recipes, one after the other, with one thread."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute")
    parser.add_argument("--only", choices=["recipes", "rates"], help="one of the two parts")
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    if options.only != "recipes":
        rates(options)
    if options.only != "rates":
        recipes(options.quick)


def recipes(quick: bool) -> None:
    """Training, scoring and storing of a few recipes, and how flat a long run is."""
    data = text()
    for name, fields in RECIPES.items():
        measure(name, fields, data, 1.0 if quick else 10.0)
    flatness(data, 2_000 if quick else 10_000)


if __name__ == "__main__":
    main()
