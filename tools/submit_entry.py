"""Enter a script in the arena."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from db import artifacts, entries
from db.entries import EntryView
from tools import Context, Digest
from training.arena.entry import LARGEST, Entry, check, entry_id

about = {"toolset": "arena", "scope": "submit", "read_only": False, "destructive": False, "idempotent": True}


@dataclass(frozen=True, kw_only=True)
class EntrySubmitted:
    """The entry that is stored. `id` names it wherever an entry is asked for."""

    id: str
    name: str
    sha256: str
    env: dict[str, str]
    golden_state: str | None
    submitted_by: str


def submit_entry(
    context: Context,
    name: Annotated[str, Field(min_length=1, max_length=64, description="name of the entry on the board")],
    script: Annotated[str, Field(max_length=LARGEST, description="the whole Python script")],
    sha256: Digest,
    env: Annotated[
        dict[str, str] | None, Field(max_length=64, description="environment variables that the script is given")
    ] = None,
    golden_state: Annotated[
        Digest | None, Field(description="hash of the tensors that it writes at a fixed seed; a trial compares")
    ] = None,
) -> EntrySubmitted:
    """Store a script that is to train and predict in the sandbox. sha256 is that of the script's UTF-8 bytes.

    The same name, script and environment are one entry: submitting it again changes nothing. Next: run_entry.
    """
    data = script.encode()
    entry = Entry(name=name, script=data, sha256=sha256, env=env or {}, golden_state=golden_state)
    check(entry)
    with context.store.transaction() as session:
        artifacts.offer(
            session, sha256, "entry", len(data), context.now, created_by=context.principal, quota=context.quota
        )
        found = entries.submit(session, as_row(entry, context))
        context.artifacts.put(data)
    return EntrySubmitted(
        id=found.id,
        name=found.name,
        sha256=found.script,
        env=dict(found.env),
        golden_state=found.golden_state,
        submitted_by=found.submitted_by,
    )


def as_row(entry: Entry, context: Context) -> EntryView:
    """The entry as the store keeps it."""
    return EntryView(
        id=entry_id(entry),
        name=entry.name,
        script=entry.sha256,
        env=dict(entry.env),
        golden_state=entry.golden_state,
        submitted_by=context.principal,
        created_at=context.now,
    )
