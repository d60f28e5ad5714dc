"""Speed of the engine on this machine: training bytes a second, seconds of a scoring and of a checkpoint.

`.venv/bin/python benchmarks/engine.py [--quick]` prints a JSON line a measurement, then a table for people on stderr.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import torch

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


@dataclass(frozen=True, kw_only=True)
class Line:
    """One measurement. ok: whether the value keeps the limit; there is none where limit is null."""

    name: str
    value: float
    unit: str
    limit: float | None = None
    ok: bool = True
    detail: str = ""


def text() -> bytes:
    """Real bytes to train on: the project's and Python's own source."""
    files = sorted(Path(torch.__file__).parent.glob("*.py")) + sorted(Path(json.__file__).parent.parent.glob("*.py"))
    return b"".join(file.read_bytes() for file in files)


def measured(name: str, fields: Mapping[str, Any], data: bytes, seconds: float) -> Iterator[Line]:
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
    detail = f"{1000 * passed / steps:.1f} ms a step of {recipe.step_bytes} bytes, {weights} weights"
    yield Line(name=f"engine.train.{name}", value=steps * recipe.step_bytes / passed, unit="byte/s", detail=detail)
    began = perf_counter()
    result = score(run.predict, data[:SCORED_BYTES], probe_seed=0)
    taken = perf_counter() - began
    yield Line(name=f"engine.score.{name}", value=taken, unit="s", detail=f"{result.byte_count} bytes")
    with tempfile.TemporaryDirectory() as folder:
        began = perf_counter()
        data = run.checkpoint(environment())
        ArtifactFolder(Path(folder)).put(data)
        taken = perf_counter() - began
    yield Line(name=f"engine.checkpoint.{name}", value=taken, unit="s", detail=f"{len(data) / 1e6:.1f} MB")


def main() -> None:
    """Measure all recipes, one after the other, with one thread."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute")
    seconds = 1.5 if parser.parse_args().quick else 10.0
    torch.set_num_threads(1)
    keep_freed_memory()
    data = text()
    lines = []
    for name, fields in RECIPES.items():
        for line in measured(name, fields, data, seconds):
            print(json.dumps(asdict(line)), flush=True)
            lines.append(line)
    for line in lines:
        print(f"{line.name:32} {line.value:12.4g} {line.unit:8} {line.detail}", file=sys.stderr)


if __name__ == "__main__":
    main()
