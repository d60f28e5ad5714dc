"""What `torch.compile` is worth to a training step on the CPU: processor time with and without it, and what it costs.

`.venv/bin/python benchmarks/compiled.py [--quick] [--recipe JSON]`. Blocks and head are compiled; the embedding, whose
gradient is sparse, cannot be. Plain and compiled steps take turns, one thread. Compilation counts the processor time of
this process and of the compilers that it starts; with an empty TORCHINDUCTOR_CACHE_DIR it is that of a first run.
"""

import argparse
import json
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import torch

from benchmarks import tell
from training.memory_pool import keep_freed_memory
from training.recipe import recipe_from
from training.run import Run
from training.windows import as_tensor

STEPS = 15
"""In a turn."""


def seconds(work: Callable[[], object]) -> float:
    """Processor seconds of this process and of those that it waited for."""

    def used() -> float:
        of = [resource.getrusage(which) for which in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(each.ru_utime + each.ru_stime for each in of)

    began = used()
    work()
    return used() - began


def compiled(run: Run) -> Run:
    """The run with its blocks and its head compiled."""
    for block in run.model.blocks:
        block.forward = torch.compile(block.forward, dynamic=False)
    run.model.logits = torch.compile(run.model.logits, dynamic=False)
    return run


def main() -> None:
    """Tell the milliseconds of a step of both kinds, the seconds of compilation, and the steps after which it pays."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--recipe", type=json.loads, default={})
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    recipe = recipe_from(options.recipe)
    noise = np.random.Generator(np.random.Philox(key=0)).integers(97, 123, 64 * recipe.step_bytes, dtype=np.uint8)
    text, plain, fast = as_tensor(noise.tobytes()), Run(recipe, 1, 10**6), compiled(Run(recipe, 1, 10**6))
    first = sum(seconds(lambda: fast.train(text)) for _ in range(3))
    plain.train(text)
    found: dict[str, list[float]] = {"plain": [], "compiled": []}
    for _ in range(2 if options.quick else 8):
        for name, run in (("plain", plain), ("compiled", fast)):
            found[name].append(seconds(lambda run=run: [run.train(text) for _ in range(STEPS)]) / STEPS)
    took = {name: median(times) for name, times in found.items()}
    saved = took["plain"] - took["compiled"]
    for name in found:
        tell(f"compiled.step.{name}", 1000 * took[name], "ms", steps=STEPS * len(found[name]))
    tell("compiled.first_s", first - 3 * took["compiled"], "s")
    pays = (first - 3 * took["compiled"]) / saved if saved > 0 else float("inf")
    tell("compiled.pays_after", pays, "steps", recipe=recipe.digest[:12])


if __name__ == "__main__":
    main()
