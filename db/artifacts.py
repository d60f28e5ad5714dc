"""Artifacts: which files, named by their SHA-256, the server holds. The bytes lie elsewhere."""

from datetime import datetime

from sqlalchemy import select, update

from db.session import Session
from db.store import insert_missing, run
from db.tables import ARTIFACT, JOB


def record(session: Session, digest: str, kind: str, byte_count: int, now: datetime) -> None:
    """Note that a file is held. Noting it again changes nothing."""
    values = {"digest": digest, "kind": kind, "byte_count": byte_count, "created_at": now}
    if not insert_missing(session, ARTIFACT, values):
        run(session, update(ARTIFACT).where(ARTIFACT.c.digest == digest).values(removed_at=None))


def exists(session: Session, digest: str) -> bool:
    """Whether the file is held."""
    held = (ARTIFACT.c.digest == digest, ARTIFACT.c.removed_at.is_(None))
    return run(session, select(ARTIFACT.c.digest).where(*held)).first() is not None


def let_go(session: Session, checkpoint: str, now: datetime) -> bool:
    """Note that a checkpoint's file goes, unless a job would go on from it. True: the caller may remove the file.

    Samples go on naming it: the digest says what they were measured on.
    """
    if run(session, select(JOB.c.id).where(JOB.c.checkpoint == checkpoint).limit(1)).first() is not None:
        return False
    run(session, update(ARTIFACT).where(ARTIFACT.c.digest == checkpoint).values(removed_at=now))
    return True
