"""Queue a grid of recipes."""

from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import Field

from tools import Context, JobRef, RaceName, preview, race_for, submit
from training.plan import Plan, recipes_of

about = {"toolset": "race", "scope": "submit", "read_only": False, "destructive": False, "idempotent": True}


@dataclass(frozen=True, kw_only=True)
class Planned:
    """What was queued, or would be. Each job stands in a phase, which is its rung."""

    race: str
    recipes: int
    seeds: list[int]
    dry_run: bool
    jobs: list[JobRef]


def plan_race(
    context: Context,
    plan: Plan,
    race: RaceName,
    dry_run: Annotated[bool, Field(description="only say what would be queued")] = False,
) -> Planned:
    """Queue every recipe of a grid: the product of the values listed for each field, over a base recipe.

    Use it to compare fields; use submit_job for one recipe. All recipes are checked before the first is queued.
    Next: claim_job.
    """
    recipes = recipes_of(plan)
    plan = replace(plan, quorum=plan.quorum or len(recipes))
    if dry_run:
        seeds, jobs = preview(context, race, plan, recipes)
        return Planned(race=race, recipes=len(recipes), seeds=seeds, dry_run=True, jobs=jobs)
    found = race_for(context, race, plan)
    jobs = submit(context, found, recipes, plan.priority)
    return Planned(race=race, recipes=len(recipes), seeds=list(found.seeds), dry_run=False, jobs=jobs)
