"""Workers: who gave a sign of life, and when; and whose receipts count."""

import base64
import hashlib
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from sqlalchemy import Executable, delete, insert, or_, select, update

from db.session import Session
from db.statements import Prepared, inserting
from db.store import run
from db.tables import ENROLLED, WORKER
from errors import InvalidValue, Refusal, shown, unknown


class WorkerEnrolled(Refusal):
    """Choose another name, or revoke the worker that has this name or key first."""

    code = "worker_enrolled"
    status = 409


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


@dataclass(frozen=True, kw_only=True)
class EnrolledView:
    """A worker whose receipts count until it is revoked. public_key: 32 bytes in base64."""

    name: str
    key_id: str
    public_key: str
    created_at: datetime
    revoked_at: datetime | None

    @property
    def raw_key(self) -> bytes:
        """The bytes of the public key."""
        return base64.b64decode(self.public_key)


def enroll(session: Session, name: str, public_key: str, now: datetime) -> EnrolledView:
    """Let a worker's receipts count. A key that was revoked stays revoked. Raises InvalidValue, WorkerEnrolled."""
    try:
        raw = base64.b64decode(public_key, validate=True)
    except ValueError:
        raw = b""
    if len(raw) != 32 or not 0 < len(name) <= 64:
        raise InvalidValue("A worker has a name of at most 64 characters and an Ed25519 public key: 32 bytes, base64.")
    key_id = hashlib.sha256(raw).hexdigest()[:16]
    present = (ENROLLED.c.name == name) & ENROLLED.c.revoked_at.is_(None)
    taken = run(session, select(ENROLLED).where(or_(ENROLLED.c.key_id == key_id, present))).first()
    if taken is not None:
        raise WorkerEnrolled(f"{shown(taken.name)} has key {taken.key_id}{', revoked' if taken.revoked_at else ''}.")
    values = {"key_id": key_id, "name": name, "public_key": base64.b64encode(raw).decode(), "created_at": now}
    return enrolled_view(run(session, insert(ENROLLED).values(**values).returning(ENROLLED)).one())


def revoke(session: Session, name: str, now: datetime) -> EnrolledView:
    """Let a worker's receipts count no more; samples that it measured stay. An unknown name is refused."""
    present = (ENROLLED.c.name == name, ENROLLED.c.revoked_at.is_(None))
    row = run(session, update(ENROLLED).where(*present).values(revoked_at=now).returning(ENROLLED)).one_or_none()
    if row is None:
        known = select(ENROLLED.c.name).where(ENROLLED.c.revoked_at.is_(None))
        raise unknown("enrolled worker", name, run(session, known).scalars())
    return enrolled_view(row)


def enrolled(session: Session) -> list[EnrolledView]:
    """Every worker that was ever enrolled, oldest first."""
    rows = run(session, select(ENROLLED).order_by(ENROLLED.c.created_at, ENROLLED.c.name))
    return [enrolled_view(row) for row in rows]


def with_key(session: Session, key_id: str) -> EnrolledView | None:
    """The worker that a key belongs to, revoked or not."""
    row = run(session, select(ENROLLED).where(ENROLLED.c.key_id == key_id)).one_or_none()
    return None if row is None else enrolled_view(row)


def enrolled_view(row: object) -> EnrolledView:
    """A row as a value."""
    return EnrolledView(**{field.name: getattr(row, field.name) for field in fields(EnrolledView)})
