"""Tasks: handles on long calls. Each belongs to the principal that made the call; to others it does not exist."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, insert, or_, select, update

from db.session import Session
from db.store import Stored, run
from db.tables import TASK
from errors import Refusal

ID = re.compile(r"task_[A-Za-z0-9_-]{32}")
"""How the name of a task looks: 192 random bits."""


class UnknownTask(Refusal):
    """Use the taskId of a result that you were given, with the token of that call; or make the call again."""

    code = "unknown_task"
    status = 404


@dataclass(frozen=True, kw_only=True)
class TaskView:
    """A task. subject: what its state is read from; answer: what the call gave, where no other row keeps it."""

    id: str
    principal: str
    tool: str
    subject: Mapping[str, Any]
    created_at: datetime
    lease_expires_at: datetime | None
    answer: Mapping[str, Any] | None
    finished_at: datetime | None
    cancelled_at: datetime | None


def add(
    session: Session,
    principal: str,
    tool: str,
    subject: Mapping[str, Any],
    now: datetime,
    lease_seconds: float | None = None,
) -> TaskView:
    """Store a task under a name that cannot be guessed. With a lease, the caller works on it."""
    until = None if lease_seconds is None else now + timedelta(seconds=lease_seconds)
    named = {"id": f"task_{secrets.token_urlsafe(24)}", "principal": principal, "tool": tool}
    values = {**named, "subject": dict(subject), "created_at": now, "lease_expires_at": until}
    return view(run(session, insert(TASK).values(**values).returning(TASK)).one())


def find(session: Session, task_id: str, principal: str) -> TaskView:
    """A task of this principal. Another's is refused as if there were none."""
    mine = select(TASK).where(TASK.c.id == task_id, TASK.c.principal == principal)
    row = run(session, mine).one_or_none() if ID.fullmatch(task_id) else None
    if row is None:
        raise UnknownTask("There is no such task.")
    return view(row)


def take(session: Session, task_id: str, now: datetime, lease_seconds: float) -> bool:
    """Take an open task up whose process has gone silent. False: somebody else is at work on it, or it has ended."""
    c = TASK.c
    free = or_(c.lease_expires_at.is_(None), c.lease_expires_at < now)
    values = {"lease_expires_at": now + timedelta(seconds=lease_seconds)}
    taken = update(TASK).where(c.id == task_id, c.answer.is_(None), c.cancelled_at.is_(None), free).values(**values)
    return run(session, taken.returning(c.id)).first() is not None


def renew(session: Session, task_id: str, now: datetime, lease_seconds: float) -> None:
    """Say that this process is still at work on a task."""
    values = {"lease_expires_at": now + timedelta(seconds=lease_seconds)}
    run(session, update(TASK).where(TASK.c.id == task_id).values(**values))


def finish(session: Session, task_id: str, answer: Mapping[str, Any], now: datetime) -> None:
    """Store what the call gave. The first answer stays."""
    values = {"answer": dict(answer), "finished_at": now, "lease_expires_at": None}
    run(session, update(TASK).where(TASK.c.id == task_id, TASK.c.answer.is_(None)).values(**values))


def cancel(session: Session, task_id: str, now: datetime) -> None:
    """Note that nobody waits for a task any more. The first time stays."""
    values = {"cancelled_at": now}
    run(session, update(TASK).where(TASK.c.id == task_id, TASK.c.cancelled_at.is_(None)).values(**values))


def sweep(session: Session, before: datetime) -> int:
    """Forget the tasks of before that nobody is at work on, and tell how many. What their calls stored stays."""
    c = TASK.c
    ended = or_(c.finished_at.is_(None), c.finished_at < before)
    idle = or_(c.lease_expires_at.is_(None), c.lease_expires_at < before)
    return run(session, delete(TASK).where(c.created_at < before, ended, idle)).rowcount


def view(row: Stored) -> TaskView:
    """A row as a value."""
    return TaskView(**{field.name: getattr(row, field.name) for field in fields(TaskView)})
