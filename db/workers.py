"""Workers: who gave a sign of life, and when."""

from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from sqlalchemy import Executable, delete, select

from db.session import Session
from db.statements import Prepared, inserting
from db.store import run
from db.tables import WORKER


@dataclass(frozen=True, kw_only=True)
class WorkerView:
    """A worker as it was last seen."""

    kind: str
    name: str
    first_seen: datetime
    last_seen: datetime
    detail: str


def seen(session: Session, name: str, kind: str, now: datetime, detail: str = "") -> None:
    """Note a sign of life."""
    SEEN.count(session, kind=kind, name=name, first_seen=now, last_seen=now, detail=detail)


def upsert(dialect: str) -> Executable:
    """Insert a worker, or note its latest sign of life."""
    new = inserting(dialect, WORKER)
    latest = {"last_seen": new.excluded.last_seen, "detail": new.excluded.detail}
    return new.on_conflict_do_update(index_elements=["kind", "name"], set_=latest)


SEEN = Prepared(upsert)


def gone(session: Session, name: str, kind: str) -> None:
    """Forget a worker that has ended."""
    run(session, delete(WORKER).where(WORKER.c.kind == kind, WORKER.c.name == name))


def alive(session: Session, kind: str, now: datetime, within_seconds: float) -> list[WorkerView]:
    """Workers of a kind that were seen lately, by name."""
    lately = WORKER.c.last_seen >= now - timedelta(seconds=within_seconds)
    rows = run(session, select(WORKER).where(WORKER.c.kind == kind, lately).order_by(WORKER.c.name))
    return [WorkerView(**{field.name: getattr(row, field.name) for field in fields(WorkerView)}) for row in rows]
