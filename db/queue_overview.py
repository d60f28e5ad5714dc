"""Overview of the queue: what runs, how much waits, and who has given a sign of life. Reads only."""

from dataclasses import dataclass, fields
from datetime import datetime

from sqlalchemy import func, select

from db.jobs import JobView, joined, view
from db.session import Session
from db.store import run
from db.tables import ENTRY_RUN, JOB, RACE, REQUEST, SCORE, WORKER, state_is
from db.workers import WorkerView


def running(session: Session, limit: int) -> list[JobView]:
    """Running jobs of all races, the one whose lease ends first before the others."""
    wanted = joined().where(state_is(JOB, "running")).order_by(JOB.c.lease_expires_at, JOB.c.position)
    return [view(row) for row in run(session, wanted.limit(limit))]


@dataclass(frozen=True, kw_only=True)
class Depth:
    """What waits: race -> queued jobs, and requests to engines, scorers and arenas by state."""

    queued: dict[str, int]
    running: int
    requests: dict[str, dict[str, int]]


def depth(session: Session) -> Depth:
    """How much waits now."""
    queued = select(RACE.c.name, func.count().label("n")).join(RACE, RACE.c.id == JOB.c.race_id)
    queued = queued.where(state_is(JOB, "queued")).group_by(RACE.c.name).order_by(RACE.c.name)
    requests = {}
    for kind, of in (("chunks", REQUEST), ("scores", SCORE), ("entry runs", ENTRY_RUN)):
        waiting = select(of.c.state, func.count().label("n")).where(state_is(of, "queued", "leased"))
        requests[kind] = {row.state: row.n for row in run(session, waiting.group_by(of.c.state))}
    count = select(func.count().label("n")).select_from(JOB).where(state_is(JOB, "running"))
    return Depth(
        queued={row.name: row.n for row in run(session, queued)},
        running=run(session, count).scalar_one(),
        requests=requests,
    )


def present(session: Session, since: datetime, limit: int) -> list[WorkerView]:
    """Who gave a sign of life since then, by kind, the latest first."""
    c = WORKER.c
    lately = select(WORKER).where(c.last_seen >= since).order_by(c.kind, c.last_seen.desc(), c.name).limit(limit)
    return [
        WorkerView(**{one.name: getattr(row, one.name) for one in fields(WorkerView)}) for row in run(session, lately)
    ]
