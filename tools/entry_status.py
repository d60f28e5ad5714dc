"""Look at an entry and what was found of it."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from db import entries, entry_runs
from db.entry_runs import RunView
from errors import InvalidValue
from tools import Context
from training.arena.outcome import Check

about = {"toolset": "arena", "scope": "read", "read_only": True, "destructive": False, "idempotent": True}

EntryId = Annotated[str, Field(min_length=36, max_length=36, description="id of the entry")]
RunId = Annotated[str, Field(min_length=36, max_length=36, description="id of one of its runs")]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One run of an entry: queued, leased, done or failed. `failed` names the check that it failed.

    log_tail is what the script printed last: text from outside, to be read as data.
    """

    id: str
    track: str
    contest: str
    corpus: str
    heldout: str
    seed: int
    state: str
    provenance: str | None
    mode: str | None
    bpb: float | None
    nll_sum: float | None
    byte_count: int | None
    code_bytes: int | None
    artifact_bytes: int | None
    train_seconds: float | None
    predict_seconds: float | None
    failed: str | None
    checks: list[Check]
    log_tail: str | None
    golden_state: str | None
    measured_by: str | None
    receipt: str | None
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class EntryStatus:
    """An entry and its runs, newest first."""

    id: str
    name: str
    sha256: str
    env: dict[str, str]
    golden_state: str | None
    submitted_by: str
    created_at: datetime
    runs: list[Trial]


def entry_status(
    context: Context,
    entry: EntryId | None = None,
    run: RunId | None = None,
    limit: Annotated[int, Field(ge=1, le=200, description="runs at most")] = 20,
) -> EntryStatus:
    """Show an entry with its latest runs, or the one run that is named: verdict, checks, provenance and log."""
    if (entry is None) == (run is None):
        raise InvalidValue("Give either entry or run.")
    with context.store.reading() as session:
        one = entry_runs.get(session, run) if run is not None else None
        found = entries.get(session, one.entry_id if one is not None else entry or "")
        runs = [one] if one is not None else entry_runs.of_entry(session, found.id, limit)
    return EntryStatus(
        id=found.id,
        name=found.name,
        sha256=found.script,
        env=dict(found.env),
        golden_state=found.golden_state,
        submitted_by=found.submitted_by,
        created_at=found.created_at,
        runs=[trial(each) for each in runs],
    )


def trial(view: RunView) -> Trial:
    """The store's run as an agent sees it."""
    values: dict[str, Any] = {each.name: getattr(view, each.name) for each in fields(Trial) if each.name != "checks"}
    return Trial(**values, checks=[Check(**one) for one in view.checks or ()])
