"""Queue one recipe."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from tools import Context, JobRef, RaceName, RecipeFields, race_for, submit
from training.plan import Plan
from training.recipe import recipe_from

about = {"toolset": "race", "scope": "submit", "read_only": False, "destructive": False, "idempotent": True}


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """The jobs of the recipe, one a seed."""

    race: str
    jobs: list[JobRef]


def submit_job(
    context: Context,
    race: RaceName,
    recipe: RecipeFields,
    priority: Annotated[int, Field(ge=0, le=100, description="0 to 100; higher is claimed first")] = 50,
) -> Submitted:
    """Queue a recipe: one job for each seed of the race, at its first rung. Submitting it again changes nothing.

    An unknown race name creates the race with the default corpus, budget and seeds. Next: claim_job.
    """
    checked = recipe_from(recipe)
    spec = race_for(context, race, Plan())
    return Submitted(race=race, jobs=submit(context, spec, [checked], priority))
