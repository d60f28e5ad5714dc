"""Taking: the one statement of a claim. A walk along the index of queued jobs, in their order, which skips what others
are taking this moment; only if a lease has ended, first one along the index of running jobs.

An abandoned job goes before the queued ones of its priority, and the one whose lease ended first before the others:
what was taken over then stands behind them, so that no claim walks past it.
"""

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Executable,
    FromClause,
    bindparam,
    func,
    literal_column,
    or_,
    select,
    union_all,
    update,
)

from db.session import Session
from db.statements import Prepared, new_values
from db.store import Stored
from db.tables import JOB, NEXT, NEXT_ABANDONED, RECIPE, STANDING, state_is


def take(
    session: Session,
    worker: str,
    now: datetime,
    lease_seconds: float,
    race_id: str | None,
    n: int,
    claimed_by: str | None = None,
) -> list[Stored]:
    """The claim itself: rows as in `queue.DESCRIBED`, with `is_lost`, in the order of claims."""
    where = {} if race_id is None else {"of_race": race_id}
    lease = now + timedelta(seconds=lease_seconds)
    rows = claiming(n, race_id is not None).rows(
        session, now=now, new_worker=worker, new_claimed_by=claimed_by, new_lease_expires_at=lease, **where
    )
    return rows if n == 1 else sorted(rows, key=lambda row: (-row.priority, row.position))


@lru_cache(maxsize=128)
def claiming(n: int, in_race: bool) -> Prepared:
    """The statement that takes up to `n` jobs."""
    return Prepared(lambda _: taking(n, in_race))


def taking(n: int, in_race: bool) -> Executable:
    """A walk along the index of queued jobs and, if any lease has ended, one along the index of running ones.

    `n` is written out: with a parameter the planner would not know that a claim takes few jobs.
    """
    c = JOB.c
    over = func.coalesce(c.lease_expires_at, NOW) < NOW  # walks in the order of claims: the index serves that, not this
    taken_over = (state_is(JOB, "running"), over, *here(JOB, in_race), *any_ended(in_race))
    abandoned = first(n, "abandoned", NEXT_ABANDONED, *taken_over)
    queued = (state_is(JOB, "queued"), *here(JOB, in_race))
    waiting = first(n, "waiting", NEXT, *queued, may_go_first(n, abandoned, in_race))
    both = union_all(
        select(abandoned, literal_column("0").label("kind")), select(waiting, literal_column("1").label("kind"))
    ).cte("free")
    chosen = select(both.c.id).order_by(both.c.priority.desc(), both.c.kind, both.c.position)
    chosen = chosen.limit(literal_column(str(n)))
    claimed = update(JOB).where(c.id == chosen.scalar_subquery() if n == 1 else c.id.in_(chosen)).values(
        state="running", fence=c.fence + 1, attempt=c.attempt + 1, barren=c.barren + 1, fruitful=False, reason=None,
        started_at=func.coalesce(c.started_at, NOW), **new_values(JOB, ("worker", "claimed_by", "lease_expires_at")),
    )  # fmt: skip
    recipe = (select(RECIPE.c[name]).where(RECIPE.c.digest == c.recipe_digest) for name in ("name", "canonical"))
    name, canonical = (one.scalar_subquery() for one in recipe)
    return claimed.returning(JOB, name.label("name"), canonical.label("canonical"), lost_meanwhile().label("is_lost"))


NOW = bindparam("now", type_=JOB.c.started_at.type)


def first(n: int, name: str, order: tuple[ColumnElement[Any], ...], *which: ColumnElement[bool]) -> CTE:
    """The first `n` jobs of a kind that nobody else is taking this moment."""
    wanted = select(JOB.c.id, JOB.c.priority, JOB.c.position).where(*which).order_by(*order)
    return wanted.limit(literal_column(str(n))).with_for_update(skip_locked=True).cte(name)


def may_go_first(n: int, abandoned: CTE, in_race: bool) -> ColumnElement[bool]:
    """Whether a queued job may go before the last of the `n` abandoned ones; if not, none is locked in vain."""
    job = JOB.alias("head")
    queued = select(job.c.priority).where(state_is(job, "queued"), *here(job, in_race))
    head = queued.order_by(job.c.priority.desc(), job.c.position).limit(literal_column("1")).scalar_subquery()
    found = select(func.count()).select_from(abandoned).scalar_subquery()
    lowest = select(func.min(abandoned.c.priority)).scalar_subquery()
    return or_(found < literal_column(str(n)), lowest < head)


def here(jobs: FromClause, in_race: bool) -> tuple[ColumnElement[bool], ...]:
    """Of the named race, where one is named."""
    return (jobs.c.race_id == bindparam("of_race"),) if in_race else ()


def any_ended(in_race: bool) -> list[ColumnElement[bool]]:
    """A lease lies in the past: the first to end of all; then, in a race, one of its own.

    The first is asked for in the order of the leases, which leaves no other index to walk along.
    """
    job = JOB.alias("any_job")
    running = select(job.c.lease_expires_at).where(state_is(job, "running"))
    first_to_end = running.order_by(job.c.lease_expires_at).limit(literal_column("1")).scalar_subquery()
    own = running.where(job.c.lease_expires_at < NOW, *here(job, in_race)).exists()
    return [first_to_end < NOW, *([own] if in_race else [])]


def lost_meanwhile() -> ColumnElement[bool]:
    """Whether the job's recipe cannot complete its rung. No column has a name of the job's: SQLite mixes them."""
    c = STANDING.c
    names = (c.race_id.label("lost_race"), c.rung.label("lost_rung"), c.recipe_digest.label("lost_recipe"))
    gone = select(*names).where(c.mean.is_(None)).subquery("gone")
    mine = (gone.c.lost_race == JOB.c.race_id, gone.c.lost_rung == JOB.c.rung)
    return select(literal_column("1")).where(*mine, gone.c.lost_recipe == JOB.c.recipe_digest).exists()
