"""Queue: jobs wait, are claimed for a limited time, given back, or fail.

    queued -> running -> done | pruned | errored        running -> queued (given back)        queued -> cancelled

A job is free when it is queued *or* its lease lies in the past: nothing has to clean up after a dead worker. The fence
counts claims, and every write carries it, so a worker that was presumed dead cannot write over its successor.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import (
    Executable,
    bindparam,
    func,
    literal_column,
    select,
    union_all,
    update,
)

from db import races, rungs
from db.curves import supersede
from db.jobs import (
    JobView,
    LeaseLost,
    NotYourClaim,
    RecipeText,
    change,
    enqueue,
    held,
    holds,
    job,
    joined,
    locked,
    lost,
    refuse_others,
    view,
)
from db.judge import Judge
from db.races import RaceView
from db.session import Session
from db.statements import Prepared
from db.store import Answer, Stored, run
from db.tables import JOB, JOB_STATES, RECIPE, SAMPLE, state_is
from db.taking import take
from errors import InvalidValue, Refusal, shown

__all__ = [
    "JobNotQueued", "JobView", "LeaseLost", "NotYourClaim", "QueueEmpty", "RecipeText", "Ticket", "cancel", "claim",
    "counts", "fail", "heartbeat", "job", "jobs", "release", "restart", "submit", "ticket",
]  # fmt: skip


class QueueEmpty(Answer):
    """Wait as long as the message says and claim again, or submit a job."""

    code = "queue_empty"
    status = 404


class JobNotQueued(Refusal):
    """Only a queued job can be cancelled; the holder of a running one can release or fail it."""

    code = "job_not_queued"
    status = 409


MAX_ATTEMPTS = 5
"""Attempts that may end without a new sample; after them the job is errored."""


@dataclass(frozen=True, kw_only=True)
class Ticket:
    """All that a holder needs for its next chunk: go on from `checkpoint` at `start_step` for `steps` steps.

    chunks: how many of equal length the whole run has; `next_boundary` tells where each ends.
    """

    job_id: str
    fence: int
    race: str
    race_id: str
    name: str
    recipe_digest: str
    recipe: str
    seed: int
    rung: int
    start_step: int
    steps: int
    total_steps: int
    checkpoint: str | None
    environment: str | None
    corpus: str
    lease_expires_at: datetime
    attempt: int
    worker: str
    chunks: int


def submit(
    session: Session,
    race: RaceView,
    recipe: RecipeText,
    total_steps: int,
    *,
    rung: int = 0,
    priority: int = 50,
    created_by: str,
    now: datetime,
) -> list[JobView]:
    """Queue a recipe: one job for each seed of the race, in its order. What is there is given back as it stands."""
    limits = {
        "priority": (priority, 0, 100),
        "rung": (rung, 0, len(race.rungs) - 1),
        "total_steps": (total_steps, 1, 2**62),
    }
    for name, (value, low, high) in limits.items():
        if not low <= value <= high:
            raise InvalidValue(f"{name} must lie in [{low}, {high}], got {shown(value)}.")
    return enqueue(
        session, race, recipe, rung, total_steps=total_steps, priority=priority, created_by=created_by, now=now
    )


def claim(
    session: Session,
    *,
    worker: str,
    now: datetime,
    lease_seconds: float,
    judge: Judge,
    race_id: str | None = None,
    n: int = 1,
    claimed_by: str | None = None,
) -> list[Ticket]:
    """Take up to `n` free jobs: higher priority first, then those whose lease ended, then the order of submission.

    A job whose attempts have stored nothing MAX_ATTEMPTS times becomes errored instead, and its rung is judged;
    one that was abandoned and whose recipe is lost meanwhile is cancelled. Nothing free is QueueEmpty.
    claimed_by: the principal to whom the claims belong; None: to whoever knows the fence.
    """
    taken: list[Stored] = []
    changed = False
    while len(taken) < n:
        rows = take(session, worker, now, lease_seconds, race_id, n - len(taken), claimed_by)
        if not rows:
            break
        for row in rows:
            changed = True
            if row.is_lost:
                drop(session, row, now)
            elif row.barren > MAX_ATTEMPTS:
                error(session, row, f"{MAX_ATTEMPTS} attempts ended without a new sample", judge, now)
            else:
                rewind(session, row, now)
                taken.append(row)
    if not taken:
        session.is_quiet = not changed
        raise nothing_free(session, now, race_id)
    return [ticket_of(row, races.by_id(session, row.race_id)) for row in taken]


DESCRIBED = Prepared(
    lambda _: (
        select(JOB, RECIPE.c.name, RECIPE.c.canonical)
        .join(RECIPE, RECIPE.c.digest == JOB.c.recipe_digest)
        .where(JOB.c.id == bindparam("job_id"))
    )
)


def nothing_free(session: Session, now: datetime, race_id: str | None) -> QueueEmpty:
    """The answer with the number of running jobs and the seconds until the next lease ends."""
    here = () if race_id is None else (JOB.c.race_id == race_id,)
    counts = select(func.count(), func.min(JOB.c.lease_expires_at)).where(state_is(JOB, "running"), *here)
    running, ends = run(session, counts).one()
    left = max(0.0, (ends - now).total_seconds()) if running else 0.0
    said = f"{running} jobs run; the next lease ends in {left:.0f} s." if running else "No job is queued or running."
    return QueueEmpty(said)


def ticket_of(row: Stored, race: RaceView) -> Ticket:
    """A row of `DESCRIBED` as a ticket."""
    return Ticket(
        job_id=row.id,
        fence=row.fence,
        race=race.name,
        race_id=row.race_id,
        name=row.name,
        recipe_digest=row.recipe_digest,
        recipe=row.canonical,
        seed=row.seed,
        rung=row.rung,
        start_step=row.checkpoint_step,
        steps=next_boundary(row.checkpoint_step, row.total_steps, race.chunks[row.rung]) - row.checkpoint_step,
        total_steps=row.total_steps,
        checkpoint=row.checkpoint,
        environment=row.environment,
        corpus=race.corpus,
        lease_expires_at=row.lease_expires_at,
        attempt=row.attempt,
        worker=row.worker,
        chunks=race.chunks[row.rung],
    )


def next_boundary(step: int, total_steps: int, chunks: int) -> int:
    """The first step after `step` at which a chunk ends: total_steps * i / chunks, rounded half up."""
    i = step * chunks // total_steps
    while i < chunks:
        i += 1
        boundary = (2 * total_steps * i + chunks) // (2 * chunks)
        if boundary > step:
            return boundary
    return total_steps


def ticket(session: Session, job_id: str, fence: int, now: datetime) -> Ticket:
    """The ticket of the present holder, for its next chunk. Anybody else gets LeaseLost."""
    row = DESCRIBED.one_or_none(session, job_id=job_id)
    if row is None or not holds(row, fence):
        raise lost(session, job_id, fence)
    return ticket_of(row, races.by_id(session, row.race_id))


def heartbeat(
    session: Session, job_id: str, fence: int, now: datetime, lease_seconds: float, owner: str | None = None
) -> datetime:
    """Renew a lease, also one that has ended if nobody else has claimed the job. Gives its new end.

    owner: of whom the claim must be. Raises LeaseLost, NotYourClaim.
    """
    ends = now + timedelta(seconds=lease_seconds)
    change(session, job_id, fence, {"lease_expires_at": ends}, owner=owner)
    return ends


def release(session: Session, job_id: str, fence: int, now: datetime, reason: str, owner: str | None = None) -> JobView:
    """Give a job back to the queue and say why. What was stored stays; the next claim gets a new fence.

    If another seed of its recipe was lost at this rung meanwhile, nobody needs it: it is cancelled.
    """
    row = held(session, job_id, fence)
    refuse_others(row, owner)
    if rungs.is_lost(session, row):
        drop(session, row, now)
    else:
        values = {"state": "queued", "worker": None, "claimed_by": None, "lease_expires_at": None, "reason": reason}
        change(session, job_id, fence, values)
    rungs.record(session, row, "release", reason, {"attempt": row.attempt}, now, job_id=job_id)
    return job(session, job_id)


def fail(session: Session, job_id: str, fence: int, now: datetime, reason: str, *, judge: Judge) -> JobView:
    """End a run that cannot go on. Its recipe is lost at this rung, which is judged: it may be complete now."""
    error(session, held(session, job_id, fence), reason, judge, now)
    return job(session, job_id)


def drop(session: Session, row: Stored, now: datetime) -> None:
    """Cancel a running job whose holder is gone and whose recipe is lost."""
    values = {"state": "cancelled", "lease_expires_at": None, "reason": rungs.LOST, "finished_at": now}
    change(session, row.id, row.fence, values)


def error(session: Session, row: Stored, reason: str, judge: Judge, now: datetime) -> None:
    """A running job becomes errored."""
    values = {"state": "errored", "lease_expires_at": None, "reason": reason, "finished_at": now}
    change(session, row.id, row.fence, values)
    rungs.lose(session, row, "fail", reason, {"attempt": row.attempt, "barren": row.barren}, judge, now)


def cancel(session: Session, job_id: str, now: datetime, reason: str, *, judge: Judge) -> JobView:
    """Take a queued job out of the race, and with it its recipe at this rung. Any other state is JobNotQueued."""
    row = locked(session, job_id)
    if row.state != "queued":
        raise JobNotQueued(f"The job is {row.state}.")
    run(session, update(JOB).where(JOB.c.id == job_id).values(state="cancelled", reason=reason, finished_at=now))
    rungs.lose(session, row, "cancel", reason, {}, judge, now)
    return job(session, job_id)


def restart(session: Session, job_id: str, fence: int, environment: str, now: datetime) -> JobView:
    """Begin a run again in another environment, where its numbers cannot be the same: a new attempt from step 0."""
    row = held(session, job_id, fence)
    supersede(session, job_id, SAMPLE.c.step > 0, "the run moved to another environment", now)
    anew = {"last_step": 0, "checkpoint_step": 0, "checkpoint": None, "provenance": None, "fruitful": False}
    counts = {"attempt": row.attempt + 1, "barren": row.barren + 1}
    change(session, job_id, fence, {"environment": environment, **anew, **counts})
    return job(session, job_id)


def rewind(session: Session, row: Stored, now: datetime) -> None:
    """A new holder goes on from the last checkpoint: claimed samples after it give way to the ones it will write."""
    if row.last_step > row.checkpoint_step:
        supersede(session, row.id, SAMPLE.c.step > row.checkpoint_step, "reported without a checkpoint", now)
        change(session, row.id, row.fence, {"last_step": row.checkpoint_step})


def jobs(session: Session, race_id: str, limit: int = 100, *, state: str | None = None) -> list[JobView]:
    """Jobs of a race for a status screen, newest first; of one state if it is named."""
    wanted = joined().where(JOB.c.race_id == race_id)
    if state is not None:
        wanted = wanted.where(JOB.c.state == state)
    return [view(row) for row in run(session, wanted.order_by(JOB.c.created_at.desc(), JOB.c.id).limit(limit))]


def counts(session: Session, race_id: str) -> dict[str, int]:
    """state -> number of the race's jobs, states in alphabetical order; states without a job are left out."""
    return {row.state: row.n for row in COUNTS.rows(session, race_id=race_id) if row.n}


def counting() -> Executable:
    """A count for each state: each reads one index of the jobs in it, never the jobs themselves."""
    here = JOB.c.race_id == bindparam("race_id")
    return union_all(
        *(
            select(literal_column(repr(state)).label("state"), func.count().label("n"))
            .select_from(JOB)
            .where(here, state_is(JOB, state))
            for state in sorted(JOB_STATES)
        )
    )


COUNTS = Prepared(lambda _: counting())
