"""Build: what a recipe comes to before anything is trained: weights, bytes, and speed on this machine."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import torch

from errors import InvalidValue
from training.documents import starts_of
from training.environment import environment
from training.recipe import Recipe, Scalar, recipe_from
from training.run import Run
from training.windows import as_tensor

MOST_STEPS = 10_000
"""Steps of a measurement at most, however quick they are."""


@dataclass(frozen=True, kw_only=True)
class Built:
    """A recipe as built. recipe: its complete form. weights: trained numbers; weight_bytes: their size.

    bytes_per_second: of training text, with one thread, on steps that were timed here; None where none was.
    """

    recipe: Mapping[str, Scalar]
    digest: str
    weights: int
    weight_bytes: int
    bytes_per_second: float | None
    steps_timed: int


def flattened(given: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe whose plug-in options may stand in tables of their own: {"muon": {"lr": 1}} is {"muon.lr": 1}.

    Raises InvalidValue for an option that stands there twice.
    """
    flat: dict[str, Any] = {}
    for key, value in given.items():
        options = (
            {f"{key}.{name}": each for name, each in value.items()} if isinstance(value, Mapping) else {key: value}
        )
        if twice := sorted(options.keys() & flat.keys()):
            raise InvalidValue(f"{', '.join(twice)} stands there twice.")
        flat |= options
    return flat


def built(
    fields: Mapping[str, Any], *, seed: int, total_steps: int, seconds: float, clock: Callable[[], float] = perf_counter
) -> tuple[Built, bytes]:
    """Check a recipe, build a run of it, time its steps for about `seconds` -> (what it comes to, a fresh checkpoint).

    The timed steps are another run's, so the checkpoint is that of step 0. Raises what `recipe_from` raises.
    """
    run = Run(recipe_from(flattened(fields)), seed, total_steps)
    recipe = run.effective()
    weights = list(run.model.parameters())
    steps, passed = timed(recipe, seconds, clock)
    told = Built(
        recipe=recipe.as_json(),
        digest=recipe.digest,
        weights=sum(weight.numel() for weight in weights),
        weight_bytes=sum(weight.numel() * weight.element_size() for weight in weights),
        bytes_per_second=steps * recipe.step_bytes / passed if steps else None,
        steps_timed=steps,
    )
    return told, run.checkpoint(environment())


def timed(recipe: Recipe, seconds: float, clock: Callable[[], float]) -> tuple[int, float]:
    """Steps and the seconds they took: at least `seconds`, after one step that is not counted. 0 seconds: no step."""
    if seconds <= 0:
        return 0, 0.0
    torch.set_num_threads(1)
    noise = np.random.Generator(np.random.Philox(key=0)).bytes(4 * recipe.step_bytes)
    text, run, steps = as_tensor(noise), Run(recipe, 0, 2 * MOST_STEPS), 0
    starts_N = starts_of([len(text)])
    run.train(text, starts_N)
    began = clock()
    while (passed := clock() - began) < seconds and steps < MOST_STEPS:
        run.train(text, starts_N)
        steps += 1
    return steps, passed
