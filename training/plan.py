"""Plan: many recipes from few words. Pure; no torch."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from errors import InvalidValue
from training.recipe import CHOICES, NONE, Recipe, Scalar, recipe_from

MOST_RECIPES = 2000
"""A larger plan is refused: it is more likely a slip than a wish."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A grid of recipe fields over a base, and single recipes beside it.

    base: fields that all share. grid: field -> values; every combination is a recipe. recipes: more recipes, each over
    the base. The race's settings count only where this plan creates the race: budget_bytes is the text that a run at
    the top rung trains on, quorum the recipes that finish the first rung before any is promoted (0: every recipe of
    this plan).
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    base: Mapping[str, Scalar] = field(default_factory=dict)
    grid: Mapping[str, Sequence[Scalar]] = field(default_factory=dict)
    recipes: Sequence[Mapping[str, Scalar]] = ()
    priority: int = 50
    budget_bytes: int | None = None
    seeds: Sequence[int] | None = None
    quorum: int = 0


def recipes_of(plan: Plan) -> list[Recipe]:
    """The plan's recipes, checked, each once, in the order of the grid and then of the list.

    An empty plan is the base alone. Raises what `recipe_from` raises, and InvalidValue for a plan that is too large.
    """
    size = len(plan.recipes)
    for values in plan.grid.values():
        size = max(size, 1) * max(1, len(values))
    if size > MOST_RECIPES:
        raise InvalidValue(f"The plan has {size} recipes; at most {MOST_RECIPES} are taken at once.")
    if not 0 <= plan.priority <= 100:
        raise InvalidValue(f"priority must lie in [0, 100], got {plan.priority}.")
    crossed = [dict(zip(plan.grid, values, strict=True)) for values in itertools.product(*plan.grid.values())]
    wanted = [*(crossed if plan.grid or not plan.recipes else []), *plan.recipes]
    checked = [recipe_from({**plan.base, **fields}) for fields in wanted]
    return list({recipe.digest: recipe for recipe in checked}.values())


def label(recipe: Recipe, default: Recipe, limit: int = 80) -> str:
    """A short name for people: what differs from the default recipe, such as `attention ngram=2`.

    Plug-ins are named by themselves, options at their plug-in's default are left out. The digest, not the label, names
    the recipe.
    """
    usual = recipe_from({kind: getattr(recipe, kind) for kind in ("composition", "optimizer", "rule")}).as_json()
    base = default.as_json()
    given = recipe.as_json().items()
    changed = [(key, value) for key, value in given if value != (usual if "." in key else base).get(key)]
    text = " ".join(told(key, value) for key, value in changed if value != NONE)
    return (text if len(text) <= limit else text[: limit - 3] + "...") or "default"


def told(key: str, value: Scalar) -> str:
    """One field of a label."""
    if key in CHOICES:
        return str(value)
    return f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}"
