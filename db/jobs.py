"""Jobs: a recipe x seed x rung as a value, how it enters the queue, and who holds it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import uuid4

from sqlalchemy import (
    ColumnElement,
    Executable,
    FromClause,
    Select,
    Sequence,
    String,
    Update,
    bindparam,
    cast,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)

from db.races import RaceView
from db.session import Session
from db.statements import Prepared, inserting, new_values
from db.store import Stored
from db.tables import JOB, RACE, RECIPE, RUNG
from errors import Refusal, unknown


class LeaseLost(Refusal):
    """The lease ran out and another worker has the job, or the job has ended. Drop this chunk and claim again."""

    code = "lease_lost"
    status = 409


class NotYourClaim(Refusal):
    """Claim a job of your own: this one belongs to the principal that claimed it."""

    code = "not_your_claim"
    status = 403


@dataclass(frozen=True, kw_only=True)
class RecipeText:
    """A checked recipe as the store keeps it."""

    digest: str
    name: str
    canonical: str


@dataclass(frozen=True, kw_only=True)
class JobView:
    """A job as it stands. `reason` says why it was stopped, failed, cancelled or given back."""

    id: str
    race: str
    race_id: str
    name: str
    recipe_digest: str
    seed: int
    rung: int
    state: str
    priority: int
    total_steps: int
    last_step: int
    final_bpb: float | None
    provenance: str | None
    checkpoint: str | None
    environment: str | None
    worker: str | None
    fence: int
    attempt: int
    lease_expires_at: datetime | None
    reason: str | None
    created_by: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


def joined() -> Select[Any]:
    """Jobs with the name of their race and the name of their recipe."""
    columns: list[Any] = [JOB, RACE.c.name.label("race"), RECIPE.c.name.label("name")]
    return select(*columns).join(RACE, RACE.c.id == JOB.c.race_id).join(RECIPE, RECIPE.c.digest == JOB.c.recipe_digest)


def view(row: Stored) -> JobView:
    """A row of `joined` as a value."""
    return JobView(**{field.name: getattr(row, field.name) for field in fields(JobView)})


ONE = Prepared(lambda _: joined().where(JOB.c.id == bindparam("job_id")))
LOCKED = Prepared(lambda _: select(JOB).where(JOB.c.id == bindparam("job_id")).with_for_update())
RUNG_LOCKED = Prepared(
    lambda _: (
        select(RUNG).where(RUNG.c.race_id == bindparam("race_id"), RUNG.c.rung == bindparam("rung")).with_for_update()
    )
)
SIBLINGS = Prepared(
    lambda _: select(
        *(JOB.c[name] for name in ("seed", "state", "provenance", "final_bpb", "priority", "created_by"))
    ).where(
        JOB.c.race_id == bindparam("race_id"),
        JOB.c.rung == bindparam("rung"),
        JOB.c.recipe_digest == bindparam("recipe_digest"),
    )
)


MINE = Prepared(
    lambda _: joined().where(
        JOB.c.race_id == bindparam("race_id"),
        JOB.c.rung == bindparam("rung"),
        JOB.c.recipe_digest == bindparam("recipe_digest"),
    )
)
NEW_RECIPE = Prepared(lambda dialect: new_recipe(dialect))
NEW_JOB = Prepared(lambda dialect: new_job(dialect))
COUNTED = Prepared(
    lambda _: (
        update(RUNG)
        .where(RUNG.c.race_id == bindparam("race_id"), RUNG.c.rung == bindparam("rung"))
        .values(new_values(RUNG, ["recipes"]))
    )
)


def job(session: Session, job_id: str) -> JobView:
    """A job by id. An unknown one is refused."""
    row = ONE.one_or_none(session, job_id=job_id)
    if row is None:
        raise unknown("job", job_id, ())
    return view(row)


def held(session: Session, job_id: str, fence: int) -> Stored:
    """The row of a running job, locked for this transaction, if this fence still holds it.

    A lease in the past is no loss while nobody else has claimed the job. Raises LeaseLost.
    """
    row = locked(session, job_id)
    if not holds(row, fence):
        raise lost(session, job_id, fence)
    return row


def locked(session: Session, job_id: str) -> Stored:
    """The row of a job, locked for this transaction."""
    row: Stored | None = LOCKED.one_or_none(session, job_id=job_id)
    if row is None:
        raise unknown("job", job_id, ())
    return row


def holds(row: Stored, fence: int) -> bool:
    """Whether the fence is that of the job's present holder."""
    return bool(row.state == "running" and row.fence == fence)


def refuse_others(row: Stored, owner: str | None) -> None:
    """Refuse (NotYourClaim) who did not claim the job. owner: None for the server itself and operators."""
    if owner is not None and row.claimed_by not in (None, owner):
        raise NotYourClaim("Another principal claimed the job.")


def lost(session: Session, job_id: str, fence: int, owner: str | None = None) -> Refusal:
    """The refusal of a late writer, or of one whose claim it is not. A job that never was is refused as unknown."""
    row = ONE.one_or_none(session, job_id=job_id)
    if row is None:
        raise unknown("job", job_id, ())
    if row.fence == fence:
        refuse_others(row, owner)
    return LeaseLost(f"The job is {row.state} with fence {row.fence}; the call has fence {fence}.")


def change(
    session: Session, job_id: str, fence: int, values: Mapping[str, Any], was: str = "running", owner: str | None = None
) -> None:
    """Change the one row that has this fence, is in this state and, where an owner is named, is that owner's claim.

    Anything else is LeaseLost or NotYourClaim.
    """
    new: dict[str, Any] = {f"new_{name}": value for name, value in values.items()}
    if owner is not None:
        new["owner"] = owner
    if changing(tuple(sorted(values)), owner is not None).count(session, of=job_id, held=fence, was=was, **new) != 1:
        raise lost(session, job_id, fence, owner)


@lru_cache(maxsize=64)
def changing(names: tuple[str, ...], owned: bool) -> Prepared:
    """The statement that changes these columns of a job, prepared."""
    if not owned:
        return Prepared(lambda _: change_job(names))
    mine = or_(JOB.c.claimed_by.is_(None), JOB.c.claimed_by == bindparam("owner"))
    return Prepared(lambda _: change_job(names).where(mine))


def change_job(names: tuple[str, ...]) -> Update:
    """The statement that changes these columns of the job `of`, if the fence `held` holds it and its state is `was`."""
    where = (JOB.c.id == bindparam("of"), JOB.c.fence == bindparam("held"), JOB.c.state == bindparam("was"))
    return update(JOB).where(*where).values(new_values(JOB, names))


def lock_rung(session: Session, race_id: str, rung: int) -> Stored:
    """The row of a rung, locked for this transaction: one at a time is judged or gets jobs."""
    row: Stored = RUNG_LOCKED.one_or_none(session, race_id=race_id, rung=rung)
    return row


def lock_recipe(session: Session, row: Stored) -> None:
    """Lock a job's recipe at its rung for this transaction: of its jobs one ends at a time, so that the last one knows.

    SQLite has one writer at a time.
    """
    if session.dialect == "postgresql":
        RECIPE_LOCKED.rows(session, job_id=row.id)


def recipe_lock(of: FromClause) -> ColumnElement[Any]:
    """The function that takes the lock of a job's recipe at its rung; names of one number only wait for each other."""
    name = of.c.race_id + "/" + cast(of.c.rung, String) + "/" + of.c.recipe_digest
    return func.pg_advisory_xact_lock(func.hashtextextended(name, literal_column("0")))


RECIPE_LOCKED = Prepared(lambda _: select(recipe_lock(JOB)).where(JOB.c.id == bindparam("job_id")))


def enqueue(
    session: Session,
    race: RaceView,
    recipe: RecipeText,
    rung: int,
    *,
    total_steps: int,
    priority: int,
    created_by: str,
    now: datetime,
) -> list[JobView]:
    """One job for each seed of the race, in its order. Jobs that are there are given back as they stand."""
    rung_row = lock_rung(session, race.id, rung)
    mine = {"race_id": race.id, "rung": rung, "recipe_digest": recipe.digest}
    there = MINE.rows(session, **mine)
    if not there:
        values = {"digest": recipe.digest, "name": recipe.name, "canonical": recipe.canonical}
        NEW_RECIPE.count(session, **values, created_by=created_by, created_at=now)
        for seed in race.seeds:
            shared = {"total_steps": total_steps, "priority": priority, "created_by": created_by, "created_at": now}
            NEW_JOB.count(session, id=str(uuid4()), seed=seed, **mine, **shared)
        COUNTED.count(session, race_id=race.id, rung=rung, new_recipes=rung_row.recipes + 1)
        there = MINE.rows(session, **mine)
    by_seed = {row.seed: view(row) for row in there}
    return [by_seed[seed] for seed in race.seeds]


def new_recipe(dialect: str) -> Executable:
    """Insert a recipe unless it is there."""
    return inserting(dialect, RECIPE).on_conflict_do_nothing()


def new_job(dialect: str) -> Executable:
    """Insert a job that nobody has claimed, at the end of the queue."""
    given = ("id", "seed", "race_id", "rung", "recipe_digest", "total_steps", "priority", "created_by", "created_at")
    untouched = dict.fromkeys(("last_step", "checkpoint_step", "fence", "attempt", "barren"), 0)
    values: dict[str, Any] = {name: bindparam(name) for name in given}
    new = insert(JOB).values(**values, **untouched, state="queued", fruitful=False, position=next_position(dialect))
    return new.inline()


def next_position(dialect: str) -> ColumnElement[int]:
    """The place of the next job in the order of submission.

    SQLite has no sequences, but one writer at a time and a number for each row; jobs are never deleted.
    """
    if dialect == "postgresql":
        return Sequence("job_position").next_value()
    there = JOB.alias("there")
    last: ColumnElement[int] = literal_column("max(there.rowid)")
    return select(func.coalesce(last, 0) + 1).select_from(there).scalar_subquery()


def siblings(session: Session, row: Stored) -> list[Stored]:
    """How the jobs of one recipe stand at one rung of a race."""
    return SIBLINGS.rows(session, race_id=row.race_id, rung=row.rung, recipe_digest=row.recipe_digest)
