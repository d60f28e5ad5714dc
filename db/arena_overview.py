"""Overview of the arena: contests that entries have run in, and the latest entries. Reads only."""

from dataclasses import dataclass, fields
from datetime import datetime

from sqlalchemy import case, func, select

from db.session import Session
from db.store import run
from db.tables import ENTRY, ENTRY_RUN


@dataclass(frozen=True, kw_only=True)
class ContestView:
    """A contest that entries have run in: what a track was at that time."""

    track: str
    contest: str
    corpus: str
    entries: int
    open: int
    closed: int
    latest: datetime


def contests(session: Session) -> list[ContestView]:
    """Contests with runs, by track, the latest first."""
    c = ENTRY_RUN.c
    is_open = case((c.state.in_(("queued", "leased")), 1), else_=0)
    open_, latest = func.sum(is_open), func.max(c.created_at)
    columns = (c.track, c.contest, c.corpus, func.count(c.entry_id.distinct()).label("entries"), open_.label("open"))
    closed = (func.count() - open_).label("closed")
    wanted = select(*columns, closed, latest.label("latest")).group_by(c.track, c.contest, c.corpus)
    return [ContestView(**row._asdict()) for row in run(session, wanted.order_by(c.track, latest.desc()))]


@dataclass(frozen=True, kw_only=True)
class EntryLine:
    """An entry in a list."""

    id: str
    name: str
    submitted_by: str
    created_at: datetime


def entries(session: Session, limit: int, offset: int = 0) -> list[EntryLine]:
    """Entries, the latest first."""
    wanted = select(*(ENTRY.c[one.name] for one in fields(EntryLine)))
    wanted = wanted.order_by(ENTRY.c.created_at.desc(), ENTRY.c.id).limit(limit).offset(offset)
    return [EntryLine(**row._asdict()) for row in run(session, wanted)]
