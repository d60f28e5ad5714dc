"""What each optimizer reaches on the embedded corpus with an equal number of training bytes, and how fast.

`.venv/bin/python benchmarks/optimizers.py [NAME ...] [--quick] [--seeds 1597,2584] [--grid '{"lr": [0.001, 0.002]}']`
prints a JSON line for each recipe, and a line for people on stderr. The grid crosses options of each named optimizer
(`lr`) and fields of every recipe (`decay`).
"""

import argparse
import itertools
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import torch

from benchmarks import tell
from training.artifacts import ArtifactFolder
from training.corpora import corpora
from training.corpus import Corpus, build, save
from training.engine import scored, trained
from training.memory_pool import keep_freed_memory
from training.optimizers import optimizers
from training.recipe import core_fields, recipe_from
from training.run import Run
from training.windows import as_tensor


def recipes(name: str, grid: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Every combination of the grid's values that is over this optimizer, its options spelt in full."""
    named = {key if key in core_fields() else f"{name}.{key}": values for key, values in grid.items()}
    return [
        {"optimizer": name, **dict(zip(named, values, strict=True))} for values in itertools.product(*named.values())
    ]


def measure(fields: Mapping[str, Any], seeds: Sequence[int], budget: int, train: torch.Tensor, held_out: bytes) -> None:
    """Train one recipe with every seed and score it; `inf` where a run diverged."""
    recipe = recipe_from(fields)
    reached, seconds = [], 0.0
    for seed in seeds:
        run, began = Run(recipe, seed, recipe.steps(budget)), perf_counter()
        _, divergence, _ = trained(run, train, run.total_steps, None)
        seconds += perf_counter() - began
        result, _ = (None, divergence) if divergence else scored(run, held_out)
        reached.append(result.bpb if result else float("inf"))
    speed = round(1000 * seconds / len(seeds) / recipe.steps(budget), 2)
    told = {key: value for key, value in fields.items() if key != "optimizer"}
    label = " ".join([str(fields["optimizer"]), *(f"{key.split('.')[-1]}={value}" for key, value in told.items())])
    tell(f"optimizers.{label}", fmean(reached), "bit/byte", each=reached, ms_a_step=speed, **told)


def main() -> None:
    """Measure every named optimizer, or all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=[])
    parser.add_argument("--quick", action="store_true", help="64 kB of training instead of --budget")
    parser.add_argument("--budget", type=int, default=262144, help="training bytes of a run")
    parser.add_argument("--seeds", default="1597")
    parser.add_argument("--grid", default="{}", help="JSON: option or recipe field to a list of values")
    given = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    source = corpora["stdlib"]()
    with tempfile.TemporaryDirectory() as folder:
        artifacts = ArtifactFolder(Path(folder))
        corpus = Corpus.load(save(build(source.name, source.documents()), artifacts), artifacts)
        train, held_out = as_tensor(corpus.split("train")), corpus.split("validation")
    seeds, budget = [int(seed) for seed in given.seeds.split(",")], 65536 if given.quick else given.budget
    for name in given.names or optimizers:
        for fields in recipes(name, json.loads(given.grid)):
            measure(fields, seeds, budget, train, held_out)


if __name__ == "__main__":
    main()
