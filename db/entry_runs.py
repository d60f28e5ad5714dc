"""Entry runs: trials that are asked for, leased by runners and answered. Leased as chunk and score requests are."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, and_, or_, select, update

from db import entries
from db.jobs import LeaseLost
from db.session import Session
from db.signals import notify
from db.store import Stored, insert_missing, run
from db.tables import ENTRY_RUN, state_is
from errors import unknown

MOST_DELIVERIES = 3
"""Runners that may die over one run before it fails."""

ARENA_FAILED = "arena_failed"
"""What a run failed by that says nothing about its entry: it neither ranks nor keeps a later run from ranking."""


@dataclass(frozen=True, kw_only=True)
class Contest:
    """What makes runs comparable; `digest` names it. limits: of one trial, as plain numbers."""

    digest: str
    track: str
    corpus: str
    heldout: str
    limits: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a trial found. `failed` is None where all checks passed; only then is there a provenance."""

    provenance: str | None
    mode: str
    bpb: float | None = None
    nll_sum: float | None = None
    byte_count: int | None = None
    code_bytes: int | None = None
    artifact_bytes: int | None = None
    train_seconds: float | None = None
    predict_seconds: float | None = None
    failed: str | None = None
    checks: Sequence[Mapping[str, Any]] = ()
    log_tail: str = ""
    golden_state: str | None = None


@dataclass(frozen=True, kw_only=True)
class RunView:
    """A run as it stands. Numbers and checks are there when it is done or failed."""

    id: str
    entry_id: str
    track: str
    contest: str
    corpus: str
    heldout: str
    limits: Mapping[str, Any]
    seed: int
    state: str
    fence: int
    runner: str | None
    requested_by: str
    created_at: datetime
    finished_at: datetime | None
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
    checks: Sequence[Mapping[str, Any]] | None
    log_tail: str | None
    golden_state: str | None
    measured_by: str | None
    receipt: str | None


def answers_of(entry_id: str) -> str:
    """The topic that is signalled when a run of an entry is closed."""
    return f"runs of entry {entry_id}"


def request(
    session: Session, entry_id: str, contest: Contest, seeds: Sequence[int], requested_by: str, now: datetime
) -> list[RunView]:
    """Ask for a run with each of these seeds; an open run of the same entry, contest and seed is given back instead.

    An unknown entry is refused.
    """
    entries.get(session, entry_id)
    return [one_run(session, entry_id, contest, seed, requested_by, now) for seed in seeds]


def one_run(session: Session, entry_id: str, contest: Contest, seed: int, requested_by: str, now: datetime) -> RunView:
    """The open run of a seed, made where there is none."""
    own = {"id": str(uuid4()), "entry_id": entry_id, "seed": seed, "requested_by": requested_by}
    common = {name: value for name, value in asdict(contest).items() if name != "digest"}
    new = {**own, **common, "contest": contest.digest, "state": "queued", "fence": 0, "deliveries": 0}
    insert_missing(session, ENTRY_RUN, {**new, "created_at": now})
    c = ENTRY_RUN.c
    mine = (c.entry_id == entry_id, c.contest == contest.digest, c.seed == seed, is_open())
    return view(run(session, select(ENTRY_RUN).where(*mine)).one())


def get(session: Session, run_id: str) -> RunView:
    """A run by id. An unknown one is refused."""
    row = run(session, select(ENTRY_RUN).where(ENTRY_RUN.c.id == run_id)).one_or_none()
    if row is None:
        raise unknown("run of an entry", run_id, ())
    return view(row)


def of_entry(session: Session, entry_id: str, limit: int) -> list[RunView]:
    """The latest runs of an entry, newest first."""
    c = ENTRY_RUN.c
    latest = select(ENTRY_RUN).where(c.entry_id == entry_id).order_by(c.created_at.desc(), c.seed, c.id).limit(limit)
    return [view(row) for row in run(session, latest)]


def waiting(session: Session, runner: str, now: datetime) -> bool:
    """Whether this runner could lease a run."""
    return run(session, select(ENTRY_RUN.c.id).where(is_open(), is_free(runner, now)).limit(1)).first() is not None


def lease(session: Session, runner: str, now: datetime, lease_seconds: float) -> RunView | None:
    """Take the oldest free run: a queued one, one whose lease has ended, or one that this runner left behind.

    Runs that too many runners died over fail on the way. None: nothing to do.
    """
    c = ENTRY_RUN.c
    free = select(ENTRY_RUN).where(is_open(), is_free(runner, now)).order_by(c.created_at, c.seed, c.id)
    while (row := run(session, free.limit(1).with_for_update(skip_locked=True)).one_or_none()) is not None:
        if row.deliveries >= MOST_DELIVERIES:
            close(session, row, died_over(row.deliveries), now)
            continue
        values = {"state": "leased", "runner": runner, "fence": row.fence + 1, "deliveries": row.deliveries + 1}
        until = now + timedelta(seconds=lease_seconds)
        taken = update(ENTRY_RUN).where(c.id == row.id).values(lease_expires_at=until, **values)
        return view(run(session, taken.returning(ENTRY_RUN)).one())
    return None


def died_over(count: int) -> Found:
    """What is found of a run that runners died over."""
    return not_tried(f"{count} runners died over this run.")


def not_tried(detail: str) -> Found:
    """What is found of a run that the arena itself could not bring to an end."""
    check = {"name": ARENA_FAILED, "passed": False, "detail": detail}
    return Found(provenance=None, mode="predict", failed=ARENA_FAILED, checks=[check])


def renew(session: Session, held: RunView, now: datetime, lease_seconds: float) -> None:
    """Renew the lease. Raises LeaseLost where another runner has the run."""
    row = leased(session, held)
    until = now + timedelta(seconds=lease_seconds)
    run(session, update(ENTRY_RUN).where(ENTRY_RUN.c.id == row.id).values(lease_expires_at=until))


def give_back(session: Session, held: RunView) -> None:
    """Put a run back into the queue, as if this runner had never had it. Raises LeaseLost."""
    row = leased(session, held)
    values = {"state": "queued", "runner": None, "lease_expires_at": None, "deliveries": row.deliveries - 1}
    session.count("leases_given_back", kind="entry_run")
    run(session, update(ENTRY_RUN).where(ENTRY_RUN.c.id == row.id).values(**values))


def finish(
    session: Session,
    held: RunView,
    found: Found,
    now: datetime,
    *,
    measured_by: str | None = None,
    receipt: str | None = None,
) -> RunView:
    """Store what a trial found. Raises LeaseLost where another runner has the run."""
    return close(session, leased(session, held), found, now, measured_by=measured_by, receipt=receipt)


def close(session: Session, row: Stored, found: Found, now: datetime, **values: object) -> RunView:
    """Close a run."""
    state = "failed" if found.failed else "done"
    numbers = {field.name: getattr(found, field.name) for field in fields(Found)}
    closed = update(ENTRY_RUN).where(ENTRY_RUN.c.id == row.id)
    closed = closed.values(state=state, lease_expires_at=None, finished_at=now, **numbers, **values)
    notify(session, answers_of(row.entry_id))
    return view(run(session, closed.returning(ENTRY_RUN)).one())


def leased(session: Session, held: RunView) -> Stored:
    """The row of a leased run, locked for this transaction. Raises LeaseLost where this fence does not hold it."""
    row = run(session, select(ENTRY_RUN).where(ENTRY_RUN.c.id == held.id).with_for_update()).one()
    if row.state != "leased" or row.fence != held.fence:
        raise LeaseLost(f"The run is {row.state} with fence {row.fence}; the call has fence {held.fence}.")
    return row


def is_open() -> ColumnElement[bool]:
    """Queued or leased."""
    return state_is(ENTRY_RUN, "queued", "leased")


def is_free(runner: str, now: datetime) -> ColumnElement[bool]:
    """Queued, left behind by a runner that died, or by this runner before it was started again."""
    c = ENTRY_RUN.c
    abandoned = or_(c.lease_expires_at < now, c.runner == runner)
    return or_(state_is(ENTRY_RUN, "queued"), and_(state_is(ENTRY_RUN, "leased"), abandoned))


def view(row: Stored) -> RunView:
    """A row as a value."""
    return RunView(**{field.name: getattr(row, field.name) for field in fields(RunView)})
