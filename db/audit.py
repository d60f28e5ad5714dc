"""Audit: one row for each committed mutation, written in its transaction. Rows are only added, and swept when old.

What engines, scorers and arena runners write for a caller is not told again: the call that asked for it has its row.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime

from sqlalchemy import Executable, bindparam, delete, insert, select

from db.session import Session
from db.statements import Prepared
from db.store import Stored, run
from db.tables_audit import AUDIT


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Who did what. credential: prefix of the token, empty without one; action: a tool, or the words of a command.

    subject: names and ids, never other text from outside.
    """

    at: datetime
    principal: str
    credential: str
    doorway: str
    action: str
    request_id: str
    subject: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class AuditView(Entry):
    """A row."""

    id: int


NAMES = tuple(field.name for field in fields(Entry))


def adding() -> Executable:
    """The statement that adds a row."""
    return insert(AUDIT).values({name: bindparam(name, type_=AUDIT.c[name].type) for name in NAMES}).inline()


ADDED = Prepared(lambda _: adding())


def add(session: Session, entry: Entry) -> None:
    """Add a row to the transaction that it tells of."""
    ADDED.count(session, **{name: getattr(entry, name) for name in NAMES})


def rows(
    session: Session,
    limit: int = 50,
    *,
    before: int | None = None,
    principal: str | None = None,
    action: str | None = None,
    request_id: str | None = None,
    since: datetime | None = None,
) -> list[AuditView]:
    """Rows, newest first; the next page is before the id of the last one."""
    c = AUDIT.c
    asked = select(AUDIT).order_by(c.id.desc()).limit(limit)
    for column, value in ((c.principal, principal), (c.action, action), (c.request_id, request_id)):
        asked = asked if value is None else asked.where(column == value)
    asked = asked if before is None else asked.where(c.id < before)
    asked = asked if since is None else asked.where(c.at >= since)
    return [view(row) for row in run(session, asked)]


def sweep(session: Session, before: datetime) -> int:
    """Remove rows that are older; gives how many. The one way in which a row goes."""
    return run(session, delete(AUDIT).where(AUDIT.c.at < before)).rowcount


def view(row: Stored) -> AuditView:
    """A row as a value."""
    return AuditView(id=row.id, **{name: getattr(row, name) for name in NAMES})
