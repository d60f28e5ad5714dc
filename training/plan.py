"""Plan: many recipes from few words. Pure; no torch."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import ClassVar

from errors import InvalidValue
from training.matrix_plan import MatrixPlan, matrix_recipes
from training.recipe import CHOICES, NONE, Recipe, Scalar, recipe_from, told

MOST_RECIPES, MOST_SEEDS, MOST_JOBS = 2000, 100, 10_000
"""A larger plan is refused: it is more likely a slip than a wish."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A grid of recipe fields over a base, and single recipes beside it.

    base: fields that all share. grid: field -> values, every combination is a recipe. recipes: more, over the base.
    matrix: formats x optimizers. Of a race that this plan creates: budget_bytes (text that a run at the top rung trains
    on), seeds, chunks (reports at each rung), quorum (recipes through the first rung before any is promoted; 0: all),
    whole (one rung of the whole budget, nobody is stopped).
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    base: Mapping[str, Scalar] = field(default_factory=dict)
    grid: Mapping[str, Sequence[Scalar]] = field(default_factory=dict)
    recipes: Sequence[Mapping[str, Scalar]] = ()
    matrix: MatrixPlan | None = None
    whole: bool = False
    priority: int = 50
    budget_bytes: int | None = None
    seeds: Sequence[int] | None = None
    quorum: int = 0
    chunks: Sequence[int] | None = None


def recipes_of(plan: Plan) -> list[Recipe]:
    """The plan's recipes, checked, each once, in the order of the grid, then of the list, then of the matrix.

    An empty plan is the base alone. Raises what `recipe_from` raises, and InvalidValue for a plan that is too large.
    """
    empty = [name for name, values in plan.grid.items() if not values]
    if empty or (plan.seeds is not None and not plan.seeds):
        raise InvalidValue(f"{empty[0] if empty else 'seeds'} of the plan lists no value; leave it out or name one.")
    cells = matrix_recipes(plan.matrix) if plan.matrix else []
    size = len(plan.recipes) + len(cells) + (prod(len(values) for values in plan.grid.values()) if plan.grid else 0)
    check_size(max(1, size), len(plan.seeds or [0]))
    if not 0 <= plan.priority <= 100:
        raise InvalidValue(f"priority must lie in [0, 100], got {plan.priority}.")
    crossed = [dict(zip(plan.grid, values, strict=True)) for values in itertools.product(*plan.grid.values())]
    listed = [*plan.recipes, *cells]
    wanted = [*(crossed if plan.grid or not listed else []), *listed]
    checked = [recipe_from({**plan.base, **fields}) for fields in wanted]
    return list({recipe.digest: recipe for recipe in checked}.values())


def check_size(recipes: int, seeds: int) -> None:
    """Refuse (InvalidValue) a plan of too many recipes, seeds or jobs; a job is a recipe with a seed."""
    for count, most, what in (
        (recipes, MOST_RECIPES, "recipes"), (seeds, MOST_SEEDS, "seeds"), (recipes * seeds, MOST_JOBS, "jobs"),
    ):  # fmt: skip
        if count > most:
            raise InvalidValue(f"The plan has {count} {what}; at most {most} are taken at once.")


def label(recipe: Recipe, default: Recipe, limit: int = 80) -> str:
    """A short name for people: what differs from the default recipe, such as `attention ngram=2`.

    Plug-ins are named by themselves, options at their plug-in's default are left out. The digest, not the label, names
    the recipe.
    """
    usual = recipe_from({kind: getattr(recipe, kind) for kind in CHOICES}).as_json()
    base = default.as_json()
    given = recipe.as_json().items()
    changed = [(key, value) for key, value in given if value != (usual if "." in key else base).get(key)]
    text = " ".join(told(key, value) for key, value in changed if value != NONE)
    return (text if len(text) <= limit else text[: limit - 3] + "...") or "default"
