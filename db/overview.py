"""Overview: what a person who looks at a race or at the queue wants to see at once. Reads only.

Numbers that a tool gives too come from the tool's own functions (`leaderboard`, `queue.counts`, `curves.curve`).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Integer, Select, bindparam, func, or_, select

from db.jobs import JobView, joined, view
from db.session import Session
from db.statements import Prepared
from db.store import run
from db.tables import (
    DECISION,
    JOB,
    RECIPE,
    SAMPLE,
    STANDING,
    SUPERSEDED,
    state_is,
)  # fmt: skip
from errors import unknown

MOST_CURVES = 400
"""Curves of a race that are shown at once: the highest rungs, and there what runs and the best."""


def version(session: Session, race_id: str) -> tuple[Any, ...]:
    """Differs when anything did that a race's page shows. Cheap: it reads the running jobs and ends of indexes."""
    return tuple(VERSION.one_or_none(session, race=race_id))


def versioning() -> Select[Any]:
    """The statement that `version` asks."""
    mine = JOB.c.race_id == bindparam("race")
    running = select(
        func.count().label("running"),
        func.sum(JOB.c.last_step).label("steps"),
        func.sum(JOB.c.fence).label("fences"),
        func.max(JOB.c.lease_expires_at).label("lease"),
    ).where(mine, state_is(JOB, "running"))
    ended = select(func.max(JOB.c.finished_at)).where(mine, state_is(JOB, "done", "pruned", "errored", "cancelled"))
    queued = select(func.count()).select_from(JOB).where(mine, state_is(JOB, "queued"))
    decided = select(func.max(DECISION.c.id)).where(DECISION.c.race_id == bindparam("race"))
    stands = select(func.max(STANDING.c.created_at).label("stood"), func.count().label("standings"))
    stands = stands.where(STANDING.c.race_id == bindparam("race"))
    stood, at = stands.subquery("stands"), running.subquery("running")
    rest = [ended.scalar_subquery().label("ended"), queued.scalar_subquery().label("queued")]
    return select(*at.c, *rest, decided.scalar_subquery().label("decided"), *stood.c)


VERSION = Prepared(lambda _: versioning())


def runs_of(session: Session, race_id: str, recipes: Collection[str]) -> dict[tuple[str, int, int], str]:
    """(recipe, rung, seed) -> job, of these recipes."""
    c = JOB.c
    mine = select(c.id, c.recipe_digest, c.rung, c.seed).where(c.race_id == race_id, c.recipe_digest.in_(recipes))
    return {(row.recipe_digest, row.rung, row.seed): row.id for row in run(session, mine)} if recipes else {}


def has_formats(session: Session, race_id: str) -> bool:
    """Whether some recipe of a race rounds to a number format. A recipe's text names a place only where it does."""
    places = or_(*(RECIPE.c.canonical.contains(f'"{place}":') for place in ("weights", "activations", "gradients")))
    mine = select(JOB.c.id).join(RECIPE, RECIPE.c.digest == JOB.c.recipe_digest).where(JOB.c.race_id == race_id, places)
    return run(session, mine.limit(1)).first() is not None


@dataclass(frozen=True, kw_only=True)
class CurveView:
    """The curve of a run: (step, bits per byte) points, and what it is a run of."""

    job_id: str
    name: str
    recipe: str
    seed: int
    rung: int
    state: str
    total_steps: int
    points: tuple[tuple[int, float], ...]


def curves(session: Session, race_id: str, most: int = MOST_CURVES) -> list[CurveView]:
    """Curves of a race, the most interesting first: the highest rung, what runs there, then the best."""
    rows = CURVES.rows(session, race=race_id, most=most)
    found = []
    for _, group in groupby(rows, key=lambda row: row.id):
        samples = list(group)
        first, points = samples[0], tuple((row.step, row.bpb) for row in samples)
        found.append(
            CurveView(
                job_id=first.id,
                name=first.name,
                recipe=first.recipe_digest,
                seed=first.seed,
                rung=first.rung,
                state=first.state,
                total_steps=first.total_steps,
                points=points,
            )
        )
    return found


def of_curves() -> Select[Any]:
    """The statement that `curves` asks."""
    c = JOB.c
    best = (c.rung.desc(), func.coalesce(c.final_bpb, 0.0), c.id)
    jobs = select(c.id, c.recipe_digest, c.seed, c.rung, c.state, c.total_steps, c.final_bpb)
    jobs = (
        jobs.where(c.race_id == bindparam("race"), c.last_step > 0)
        .order_by(*best)
        .limit(bindparam("most", type_=Integer))
    )
    one = jobs.subquery("shown")
    points = select(one, RECIPE.c.name, SAMPLE.c.step, SAMPLE.c.bpb)
    points = points.join(SAMPLE, SAMPLE.c.job_id == one.c.id).join(RECIPE, RECIPE.c.digest == one.c.recipe_digest)
    return points.order_by(one.c.rung.desc(), func.coalesce(one.c.final_bpb, 0.0), one.c.id, SAMPLE.c.step)


CURVES = Prepared(lambda _: of_curves())


def jobs_in(session: Session, race_id: str, state: str, limit: int, offset: int = 0) -> list[JobView]:
    """Jobs of a race in one state: queued ones as they will be claimed, running ones as they were submitted, others
    by when they ended, the latest first."""
    orders: dict[str, Sequence[Any]] = {
        "queued": (JOB.c.priority.desc(), JOB.c.position),
        "running": (JOB.c.position,),
    }
    order = orders.get(state, (JOB.c.finished_at.desc(), JOB.c.position))
    wanted = joined().where(JOB.c.race_id == race_id, state_is(JOB, state)).order_by(*order)
    return [view(row) for row in run(session, wanted.limit(limit).offset(offset))]


@dataclass(frozen=True, kw_only=True)
class RecipeView:
    """A stored recipe. canonical: its complete form as JSON."""

    digest: str
    name: str
    canonical: str
    created_by: str
    created_at: datetime


def recipe(session: Session, digest: str) -> RecipeView:
    """A recipe by its digest. An unknown one is refused."""
    row = run(session, select(RECIPE).where(RECIPE.c.digest == digest)).one_or_none()
    if row is None:
        raise unknown("recipe", digest, ())
    return RecipeView(**row._asdict())


def receipts(session: Session, job_id: str) -> dict[int, str]:
    """step -> receipt of a run's samples."""
    c = SAMPLE.c
    rows = run(session, select(c.step, c.receipt).where(c.job_id == job_id, c.receipt.is_not(None)).order_by(c.step))
    return {row.step: row.receipt for row in rows}


@dataclass(frozen=True, kw_only=True)
class SetAside:
    """A sample that no longer counts, and why."""

    step: int
    bpb: float
    provenance: str
    attempt: int
    reason: str
    superseded_at: datetime


def set_aside(session: Session, job_id: str, limit: int) -> list[SetAside]:
    """Samples of a run that no longer count, the latest first."""
    c = SUPERSEDED.c
    wanted = select(*(c[one.name] for one in fields(SetAside))).where(c.job_id == job_id)
    return [SetAside(**row._asdict()) for row in run(session, wanted.order_by(c.id.desc()).limit(limit))]
