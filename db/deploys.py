"""Deploys: the switch that turns them off, one plan at a time for an account, and what the store knows of a fleet."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from sqlalchemy import select, update

from db.session import Session
from db.store import insert_missing, run
from db.tables import JOB, RACE, SAMPLE, WORKER
from db.tables_deploy import DEPLOY
from errors import Refusal

EVERY_ACCOUNT = ""
"""The row whose switch counts for all accounts."""

LATEST = 200
"""Samples of one worker that are compared with what it says in its log."""


class DeployBusy(Refusal):
    """Wait until the other call has ended, then make a new plan."""

    code = "deploy_busy"
    status = 409


@dataclass(frozen=True, kw_only=True)
class Off:
    """Deploys are off, since when and by whom."""

    since: datetime
    by: str


def turn(session: Session, *, off: bool, by: str, now: datetime) -> None:
    """Turn deploys off or on for every account, at once. Turning off again keeps the first time."""
    ensure(session, EVERY_ACCOUNT)
    which = DEPLOY.c.account == EVERY_ACCOUNT
    if off:
        run(session, update(DEPLOY).where(which, DEPLOY.c.off_since.is_(None)).values(off_since=now, off_by=by))
    else:
        run(session, update(DEPLOY).where(which).values(off_since=None, off_by=None))


def switched_off(session: Session) -> Off | None:
    """Whether an operator has turned deploys off."""
    row = run(session, select(DEPLOY).where(DEPLOY.c.account == EVERY_ACCOUNT)).one_or_none()
    return None if row is None or row.off_since is None else Off(since=row.off_since, by=row.off_by)


def begin(session: Session, account: str, now: datetime, seconds: float) -> str:
    """Take an account for one plan, for so long at most. Gives what `end` needs; raises DeployBusy."""
    ensure(session, account)
    free = DEPLOY.c.busy_until.is_(None) | (DEPLOY.c.busy_until <= now)
    handle = str(uuid4())
    taken = update(DEPLOY).where(DEPLOY.c.account == account, free)
    values = {"busy_until": now + timedelta(seconds=seconds), "busy_with": handle}
    if not run(session, taken.values(**values)).rowcount:
        raise DeployBusy(f"Another call changes account {account}.")
    return handle


def end(session: Session, account: str, handle: str) -> None:
    """Give the account back, if it is still ours."""
    mine = (DEPLOY.c.account == account) & (DEPLOY.c.busy_with == handle)
    run(session, update(DEPLOY).where(mine).values(busy_until=None, busy_with=None))


def ensure(session: Session, account: str) -> None:
    """Make an account's row where it is missing."""
    values = dict.fromkeys(("off_since", "off_by", "busy_until", "busy_with"))
    insert_missing(session, DEPLOY, {"account": account, **values})


@dataclass(frozen=True, kw_only=True)
class WorkerJob:
    """A job that a worker of this name has or had, and what is stored of it.

    rung: counted from 1. measured: step -> bits per byte, of the latest samples that our scorer computed.
    last_sign: the latest sign of life that is stored: a claim, the job's end, or the end of its lease, which heartbeats
    move.
    """

    worker: str
    race: str
    rung: int
    seed: int
    state: str
    measured: dict[int, float]
    last_sign: datetime | None


def work_of(session: Session, workers: Sequence[str]) -> list[WorkerJob]:
    """What workers of these names have done, by name and time."""
    if not workers:
        return []
    found = run(
        session,
        select(JOB, RACE.c.name.label("race"))
        .join(RACE, RACE.c.id == JOB.c.race_id)
        .where(JOB.c.worker.in_(workers))
        .order_by(JOB.c.worker, JOB.c.started_at, JOB.c.id),
    ).all()
    signs = run(session, select(WORKER.c.name, WORKER.c.last_seen).where(WORKER.c.name.in_(workers)))
    seen = {row.name: row.last_seen for row in signs}
    return [
        WorkerJob(
            worker=job.worker,
            race=job.race,
            rung=job.rung + 1,
            seed=job.seed,
            state=job.state,
            measured=measured_of(session, job.id),
            last_sign=latest(seen.get(job.worker), job.lease_expires_at, job.finished_at),
        )
        for job in found
    ]


def latest(*moments: datetime | None) -> datetime | None:
    """The latest of the moments that are known."""
    return max((one for one in moments if one is not None), default=None)


def measured_of(session: Session, job_id: str) -> dict[int, float]:
    """The latest measured samples of a job."""
    mine = (SAMPLE.c.job_id == job_id) & (SAMPLE.c.provenance == "measured")
    rows = run(session, select(SAMPLE.c.step, SAMPLE.c.bpb).where(mine).order_by(SAMPLE.c.step.desc()).limit(LATEST))
    return {row.step: row.bpb for row in rows}


def workers_like(session: Session, prefix: str) -> list[str]:
    """Names of workers that have or had a job, beginning so."""
    rows = run(session, select(JOB.c.worker).where(JOB.c.worker.startswith(prefix, autoescape=True)).distinct())
    return sorted(row.worker for row in rows)
