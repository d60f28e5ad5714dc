"""Chunks: the web process asks for a chunk, an engine process trains it. Two leases: the request's, and the job's.

An engine that dies leaves its lease to run out, or comes back under its name and takes its request up again.
"""

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, and_, func, insert, or_, select, update

from db import jobs
from db.jobs import LeaseLost
from db.owners import refuse_others
from db.session import Session
from db.signals import notify
from db.store import Stored, run
from db.tables import JOB, REQUEST, state_is
from errors import Refusal, shown, unknown

MOST_DELIVERIES = 5
"""Engines that may die over one request before it fails."""


class EngineFailed(Refusal):
    """Look at the engine's log: engines died over this chunk. Calling run_chunk again gives it another try."""

    code = "engine_failed"
    status = 500


@dataclass(frozen=True, kw_only=True)
class RequestView:
    """A chunk request: queued, leased, done or failed. `fence` is its own, `job_fence` the job's."""

    id: str
    job_id: str
    job_fence: int
    steps: int | None
    state: str
    fence: int
    engine: str | None
    lease_expires_at: datetime | None
    result: dict[str, Any] | None
    error_code: str | None
    error: str | None
    created_at: datetime
    finished_at: datetime | None
    request_id: str | None
    traceparent: str | None


def request(
    session: Session,
    job_id: str,
    fence: int,
    steps: int | None,
    now: datetime,
    lease_seconds: float | None = None,
    owner: str | None = None,
    *,
    request_id: str | None = None,
    traceparent: str | None = None,
) -> RequestView:
    """Ask for the next chunk of a held job, and renew its lease where `lease_seconds` is given.

    An open request of this holder is given back instead of a second one; of a job that ended, the one that ended it.
    owner: of whom the claim must be. request_id and traceparent are those of the call that asks: what the engine does
    belongs to it.
    """
    job = jobs.locked(session, job_id)
    if job.fence == fence:
        refuse_others(job, owner)
    if not jobs.holds(job, fence):
        last = last_answered(session, job) if job.fence == fence and job.state in ENDED else None
        if last is None:
            raise jobs.lost(session, job_id, fence)
        return last
    if lease_seconds is not None:
        jobs.change(session, job_id, fence, {"lease_expires_at": now + timedelta(seconds=lease_seconds)})
    mine = (REQUEST.c.job_id == job_id, REQUEST.c.job_fence == fence, is_open())
    row = run(session, select(REQUEST).where(*mine)).one_or_none()
    if row is None:
        values = {"id": str(uuid4()), "job_id": job_id, "job_fence": fence, "steps": steps}
        asked = {"request_id": request_id, "traceparent": traceparent, "created_at": now}
        new = insert(REQUEST).values(**values, **asked, state="queued", fence=0)
        row = run(session, new.returning(REQUEST)).one()
        notify(session, REQUESTS)
    return view(row)


ENDED = ("done", "pruned", "errored")
"""States that a chunk may bring its job to."""


def last_answered(session: Session, job: Stored) -> RequestView | None:
    """The latest answered request of a job's last holder, or None."""
    c = REQUEST.c
    mine = select(REQUEST).where(c.job_id == job.id, c.job_fence == job.fence, state_is(REQUEST, "done"))
    row = run(session, mine.order_by(c.finished_at.desc(), c.id).limit(1)).one_or_none()
    return None if row is None else view(row)


REQUESTS = "chunk requests"
"""What engines wait for."""


def answer_to(request_id: str) -> str:
    """The topic that is signalled when a request is closed."""
    return f"answer to {request_id}"


def get(session: Session, request_id: str) -> RequestView:
    """A request as it stands. An unknown one is refused."""
    row = run(session, select(REQUEST).where(REQUEST.c.id == request_id)).one_or_none()
    if row is None:
        raise unknown("chunk request", request_id, ())
    return view(row)


def held_by(session: Session, engine: str) -> list[str]:
    """Ids of the jobs whose chunks are with an engine."""
    mine = select(REQUEST.c.job_id).where(state_is(REQUEST, "leased"), REQUEST.c.engine == engine)
    return list(run(session, mine).scalars())


def under_way(session: Session) -> int:
    """How many requests engines are at work on."""
    return int(run(session, select(func.count()).select_from(REQUEST).where(state_is(REQUEST, "leased"))).scalar_one())


def is_idle(session: Session) -> bool:
    """Whether no request is open."""
    return run(session, select(REQUEST.c.id).where(is_open()).limit(1)).first() is None


def lease(session: Session, engine: str, now: datetime, lease_seconds: float) -> RequestView | None:
    """Take the oldest free request: a queued one, one whose lease has ended, or one that this engine left behind.

    Requests that nobody waits for any more, or that too many engines died over, fail on the way. None: nothing to do.
    """
    c = REQUEST.c
    abandoned = and_(state_is(REQUEST, "leased"), or_(c.lease_expires_at < now, c.engine == engine))
    free = select(REQUEST).where(is_open(), or_(state_is(REQUEST, "queued"), abandoned))
    oldest = free.order_by(c.created_at, c.id).limit(1).with_for_update(skip_locked=True)
    while (row := run(session, oldest).one_or_none()) is not None:
        job = run(session, select(JOB).where(JOB.c.id == row.job_id)).one()
        if not jobs.holds(job, row.job_fence):
            end(session, row, now, state="failed", error_code=LeaseLost.code, error="The job has another holder.")
        elif row.fence - row.given_back > MOST_DELIVERIES:
            error = f"{row.fence - row.given_back} engines died over this chunk."
            end(session, row, now, state="failed", error_code=EngineFailed.code, error=error)
        else:
            if row.state == "leased":
                session.count("leases_lost", kind="chunk")
            if row.fence == 0:
                session.count("chunk_wait_seconds", max(0.0, (now - row.created_at).total_seconds()))
            until = now + timedelta(seconds=lease_seconds)
            values = {"state": "leased", "engine": engine, "lease_expires_at": until, "fence": row.fence + 1}
            return view(run(session, update(REQUEST).where(c.id == row.id).values(**values).returning(REQUEST)).one())
    return None


def renew(
    session: Session,
    request_id: str,
    request_fence: int,
    now: datetime,
    lease_seconds: float,
    job_lease_seconds: float | None = None,
) -> RequestView:
    """Renew the request's lease and the job's (`job_lease_seconds`, or as long). On LeaseLost, stop training."""
    row = leased(session, request_id, request_fence)
    job_until = now + timedelta(seconds=job_lease_seconds or lease_seconds)
    jobs.change(session, row.job_id, row.job_fence, {"lease_expires_at": job_until})
    values = {"lease_expires_at": now + timedelta(seconds=lease_seconds)}
    return view(run(session, update(REQUEST).where(REQUEST.c.id == row.id).values(**values).returning(REQUEST)).one())


def give_back(session: Session, request_id: str, request_fence: int) -> RequestView:
    """Put a request back for the next engine, which is woken: this one ends in good order. Raises LeaseLost."""
    row = leased(session, request_id, request_fence)
    values = {"state": "queued", "engine": None, "lease_expires_at": None, "given_back": row.given_back + 1}
    session.count("leases_given_back", kind="chunk")
    notify(session, REQUESTS)
    return view(run(session, update(REQUEST).where(REQUEST.c.id == row.id).values(**values).returning(REQUEST)).one())


def leave(session: Session, engine: str) -> None:
    """Put back what still stands under the name of an engine that ends: a dead one of the name may have left it."""
    mine = (state_is(REQUEST, "leased"), REQUEST.c.engine == engine)
    free = {"state": "queued", "engine": None, "lease_expires_at": None}
    if run(session, update(REQUEST).where(*mine).values(**free)).rowcount:
        notify(session, REQUESTS)


def finish(session: Session, request_id: str, request_fence: int, result: dict[str, Any], now: datetime) -> RequestView:
    """Answer a request. `result` is plain JSON."""
    return end(session, leased(session, request_id, request_fence), now, state="done", result=result)


def fail(session: Session, request_id: str, request_fence: int, code: str, message: str, now: datetime) -> RequestView:
    """Answer a request with the code and message of a refusal."""
    row = leased(session, request_id, request_fence)
    return end(session, row, now, state="failed", error_code=code, error=message)


def end(session: Session, row: Stored, now: datetime, **values: object) -> RequestView:
    """Close a request."""
    notify(session, answer_to(row.id))
    closed = update(REQUEST).where(REQUEST.c.id == row.id).values(lease_expires_at=None, finished_at=now, **values)
    return view(run(session, closed.returning(REQUEST)).one())


def leased(session: Session, request_id: str, fence: int) -> Stored:
    """The row of a leased request, locked for this transaction, if this fence still holds it; else LeaseLost."""
    row = run(session, select(REQUEST).where(REQUEST.c.id == request_id).with_for_update()).one_or_none()
    if row is None:
        raise unknown("chunk request", request_id, ())
    if row.state != "leased" or row.fence != fence:
        raise LeaseLost(f"The request is {row.state} with fence {row.fence}; the call has fence {shown(fence)}.")
    return row


def is_open() -> ColumnElement[bool]:
    """Queued or leased."""
    return state_is(REQUEST, "queued", "leased")


def view(row: Stored) -> RequestView:
    """A row as a value."""
    return RequestView(**{field.name: getattr(row, field.name) for field in fields(RequestView)})
