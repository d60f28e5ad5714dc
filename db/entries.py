"""Entries: scripts from outside that take part in a track, each named by what it is."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime

from sqlalchemy import select

from db.session import Session
from db.store import Stored, insert_missing, run
from db.tables import ENTRY
from errors import Refusal, unknown


class EntryExists(Refusal):
    """Submit with the golden state that the entry has, or under another name: an entry does not change."""

    code = "entry_exists"
    status = 409


@dataclass(frozen=True, kw_only=True)
class EntryView:
    """An entry. script: SHA-256 of its script, which is an artifact."""

    id: str
    name: str
    script: str
    env: Mapping[str, str]
    golden_state: str | None
    submitted_by: str
    created_at: datetime


def submit(session: Session, entry: EntryView) -> EntryView:
    """Store an entry. The same one gives the entry that is there; another golden state is refused (EntryExists)."""
    insert_missing(session, ENTRY, {field.name: getattr(entry, field.name) for field in fields(entry)})
    found = get(session, entry.id)
    if found.golden_state != entry.golden_state:
        raise EntryExists(f"Entry {entry.id} is there with another golden state.")
    return found


def get(session: Session, entry_id: str) -> EntryView:
    """An entry by id. An unknown one is refused."""
    row = run(session, select(ENTRY).where(ENTRY.c.id == entry_id)).one_or_none()
    if row is None:
        raise unknown("entry", entry_id, ())
    return view(row)


def view(row: Stored) -> EntryView:
    """A row as a value."""
    return EntryView(**{field.name: getattr(row, field.name) for field in fields(EntryView)})
