"""Results: every recipe that has jobs in a race, with what was measured of it or why nothing can be."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import case, func, select

from db.races import RaceView
from db.session import Session
from db.store import run
from db.tables import JOB, RECIPE, STANDING


@dataclass(frozen=True, kw_only=True)
class RecipeResult:
    """A recipe of a race. canonical: its text. bpbs: measured at the end of the highest rung that it completed.

    They are in the order of the race's seeds, and empty where it completed none. lost: why it cannot complete a rung.
    """

    recipe: str
    canonical: str
    bpbs: tuple[float, ...]
    mean: float | None
    sd: float | None
    rung: int
    quantized: dict[str, Any] | None
    lost: str | None


def results(session: Session, race: RaceView) -> list[RecipeResult]:
    """The recipes in the order of their submission."""
    first = func.min(JOB.c.position)
    failed = func.max(case((JOB.c.state.in_(("errored", "pruned")), JOB.c.reason)))
    ended = func.max(case((JOB.c.state == "cancelled", JOB.c.reason)))
    jobs = (
        select(JOB.c.recipe_digest, RECIPE.c.canonical, func.coalesce(failed, ended).label("lost"))
        .join(RECIPE, RECIPE.c.digest == JOB.c.recipe_digest)
        .where(JOB.c.race_id == race.id)
        .group_by(JOB.c.recipe_digest, RECIPE.c.canonical)
        .order_by(first)
    )
    c = STANDING.c
    complete = select(STANDING).where(c.race_id == race.id, c.provenance == "measured", c.mean.is_not(None))
    standings = {row.recipe_digest: row for row in run(session, complete.order_by(c.rung))}
    return [
        RecipeResult(
            recipe=row.recipe_digest,
            canonical=row.canonical,
            bpbs=tuple(stands.bpbs) if (stands := standings.get(row.recipe_digest)) else (),
            mean=stands.mean if stands else None,
            sd=stands.sd if stands else None,
            rung=stands.rung if stands else 0,
            quantized=stands.quantized if stands else None,
            lost=row.lost,
        )
        for row in run(session, jobs)
    ]
