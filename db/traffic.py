"""Traffic: one row for each call of a tool, refused ones too. Written in batches, read on from any row."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, func, insert, select

from db.session import Session
from db.statements import Prepared
from db.store import Stored, run
from db.tables_audit import TRAFFIC

LOCK = 1_229_409_364
"""Key of PostgreSQL's advisory lock: the letters IGLT."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A call and how it ended. code: `ok`, a refusal's code, or `internal_error`."""

    at: datetime
    tool: str
    read_only: bool
    principal: str
    credential: str
    doorway: str
    request_id: str
    subject: Mapping[str, str]
    code: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class TrafficView(Seen):
    """A row."""

    id: int


NAMES = tuple(field.name for field in fields(Seen))


ADDED = Prepared(
    lambda _: insert(TRAFFIC).values({name: bindparam(name, type_=TRAFFIC.c[name].type) for name in NAMES}).inline()
)


def add(session: Session, batch: Iterable[Mapping[str, Any]]) -> None:
    """Add rows: the values of a `Seen`, by name.

    One batch at a time, so that ids grow in the order of the commits and who reads on misses none: SQLite has one
    writer at a time anyway.
    """
    if session.dialect == "postgresql":
        run(session, select(func.pg_advisory_xact_lock(LOCK)))
    ADDED.many(session, batch)


def latest(session: Session, limit: int = 50) -> list[TrafficView]:
    """The latest rows, newest first."""
    return [view(row) for row in run(session, select(TRAFFIC).order_by(TRAFFIC.c.id.desc()).limit(limit))]


def after(session: Session, id: int, limit: int = 500) -> list[TrafficView]:
    """The rows that came after one, oldest first."""
    asked = select(TRAFFIC).where(TRAFFIC.c.id > id).order_by(TRAFFIC.c.id).limit(limit)
    return [view(row) for row in run(session, asked)]


def last_id(session: Session) -> int:
    """The id of the latest row; 0 before the first."""
    return int(run(session, select(func.coalesce(func.max(TRAFFIC.c.id), 0))).scalar_one())


def sweep(session: Session, before: datetime) -> int:
    """Remove rows that are older; gives how many. The latest stays, so that no id comes twice."""
    return run(session, delete(TRAFFIC).where(TRAFFIC.c.at < before, TRAFFIC.c.id < last_id(session))).rowcount


def view(row: Stored) -> TrafficView:
    """A row as a value."""
    return TrafficView(id=row.id, **{name: getattr(row, name) for name in NAMES})
