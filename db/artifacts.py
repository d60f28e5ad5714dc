"""Artifacts: which files, named by their SHA-256, the server holds, whose they are and which rows name them."""

from datetime import datetime

from sqlalchemy import func, select, update

from db.session import Session
from db.store import insert_missing, run
from db.tables import ARTIFACT, ENTRY, JOB, RACE, SAMPLE, SCORE, SUPERSEDED, state_is
from errors import Refusal

PINNED = ("corpus", "heldout")
"""Kinds that are kept though no other row names them: a race may be made of them at any time."""


class QuotaExceeded(Refusal):
    """Wait until earlier checkpoints are let go, or ask the operator for more room (IGLA_ARTIFACT_QUOTA)."""

    code = "quota_exceeded"
    status = 403


def record(
    session: Session, digest: str, kind: str, byte_count: int, now: datetime, *, created_by: str | None = None
) -> None:
    """Note that a file is held. Noting it again changes nothing; a file that comes back is its bringer's."""
    values = {"digest": digest, "kind": kind, "byte_count": byte_count, "created_at": now, "created_by": created_by}
    if not insert_missing(session, ARTIFACT, values):
        gone = (ARTIFACT.c.digest == digest, ARTIFACT.c.removed_at.is_not(None))
        run(session, update(ARTIFACT).where(*gone).values(removed_at=None, created_by=created_by))


def offer(
    session: Session, digest: str, kind: str, byte_count: int, now: datetime, *, created_by: str, quota: int | None
) -> None:
    """Note a file that somebody brought, and when. Raises QuotaExceeded where a new one is more than they may hold."""
    if not exists(session, digest):
        refuse_beyond_quota(session, created_by, byte_count, quota)
    record(session, digest, kind, byte_count, now, created_by=created_by)
    run(session, update(ARTIFACT).where(ARTIFACT.c.digest == digest).values(offered_at=now))


def refuse_beyond_quota(session: Session, created_by: str, more: int, quota: int | None) -> None:
    """Raise QuotaExceeded where a principal would hold more than the quota; None: as much as it likes."""
    if quota is not None and (held := used(session, created_by)) + more > quota:
        raise QuotaExceeded(f"You hold {held} of {quota} bytes; {more} more do not fit.")


def used(session: Session, created_by: str) -> int:
    """Bytes that are held for a principal."""
    mine = (ARTIFACT.c.created_by == created_by, ARTIFACT.c.removed_at.is_(None))
    return int(run(session, select(func.coalesce(func.sum(ARTIFACT.c.byte_count), 0)).where(*mine)).scalar_one())


def exists(session: Session, digest: str) -> bool:
    """Whether the file is held."""
    return kind(session, digest) is not None


def kind(session: Session, digest: str) -> str | None:
    """The kind of a held file; None for one that is not held."""
    held = (ARTIFACT.c.digest == digest, ARTIFACT.c.removed_at.is_(None))
    return run(session, select(ARTIFACT.c.kind).where(*held)).scalar_one_or_none()


def let_go(session: Session, checkpoint: str, now: datetime) -> bool:
    """Note that a checkpoint's file goes, unless a job would go on from it. True: the caller may remove the file.

    Samples go on naming it: the digest says what they were measured on.
    """
    if is_needed(session, checkpoint):
        return False
    run(session, update(ARTIFACT).where(ARTIFACT.c.digest == checkpoint).values(removed_at=now))
    return True


def is_needed(session: Session, digest: str) -> bool:
    """Whether a job would go on from a checkpoint, its score is still asked for, or the file is an entry's script."""
    going_on = select(JOB.c.id).where(JOB.c.checkpoint == digest).limit(1)
    asked = select(SCORE.c.id).where(SCORE.c.checkpoint == digest, state_is(SCORE, "queued", "leased")).limit(1)
    entered = select(ENTRY.c.id).where(ENTRY.c.script == digest).limit(1)
    return any(run(session, wanted).first() is not None for wanted in (going_on, asked, entered))


def outgrown(session: Session, job_id: str) -> list[str]:
    """Checkpoints of a job's samples that are held though neither the job nor a score needs them any more."""
    mine = select(SAMPLE.c.checkpoint).where(SAMPLE.c.job_id == job_id, SAMPLE.c.checkpoint.is_not(None))
    held = select(ARTIFACT.c.digest).where(ARTIFACT.c.digest.in_(mine), ARTIFACT.c.removed_at.is_(None))
    return [one for one in run(session, held.order_by(ARTIFACT.c.digest)).scalars() if not is_needed(session, one)]


def races_corpora(session: Session) -> dict[str, bool]:
    """Digest of each race's corpus -> whether its held-out text is private to some race."""
    rows = run(session, select(RACE.c.corpus, RACE.c.heldout).distinct())
    found: dict[str, bool] = {}
    for corpus, heldout in rows:
        found[corpus] = found.get(corpus, False) or heldout == "private"
    return found


def named(session: Session) -> set[str]:
    """Every file that a row needs, corpora's splits aside: of jobs, open scores, races, pins, entries, kept samples."""
    held = select(ARTIFACT.c.digest).where(ARTIFACT.c.removed_at.is_(None))
    wanted = (
        select(JOB.c.checkpoint).where(JOB.c.checkpoint.is_not(None)),
        select(SCORE.c.checkpoint).where(state_is(SCORE, "queued", "leased")),
        select(RACE.c.corpus),
        select(ENTRY.c.script),
        held.where(ARTIFACT.c.kind.in_(PINNED)),
        *(select(table.c.checkpoint).where(table.c.checkpoint.in_(held)) for table in (SAMPLE, SUPERSEDED)),
    )
    return {digest for one in wanted for digest in run(session, one.distinct()).scalars()}


def collect(session: Session, digest: str, offered_before: datetime, now: datetime) -> bool:
    """Note that a file goes. False: it was brought again lately, or a row has come to need it.

    The row stays locked until the caller's transaction ends, so remove the file within it.
    """
    values = {"digest": digest, "kind": "file", "byte_count": 0, "created_at": now, "removed_at": now}
    insert_missing(session, ARTIFACT, values)
    row = run(session, select(ARTIFACT).where(ARTIFACT.c.digest == digest).with_for_update()).one()
    raced = run(session, select(RACE.c.id).where(RACE.c.corpus == digest).limit(1)).first()
    pinned = row.removed_at is None and row.kind in PINNED
    lately = row.offered_at is not None and row.offered_at >= offered_before
    if pinned or lately or raced is not None or is_needed(session, digest):
        return False
    run(session, update(ARTIFACT).where(ARTIFACT.c.digest == digest).values(removed_at=now))
    return True
