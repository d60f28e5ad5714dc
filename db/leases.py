"""Leases: what only one process may do at a time, by a row that its holder renews. The others wait for its end."""

from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta

from sqlalchemy import select, update

from db.session import Session
from db.store import insert_missing, run
from db.tables_scale import LEASE

NEVER = datetime(1970, 1, 1, tzinfo=UTC)
"""When a lease ended that nobody has held yet."""


@dataclass(frozen=True, kw_only=True)
class LeaseView:
    """A lease. fence: counts the holders, so that one who was thought dead is known as such."""

    name: str
    holder: str
    fence: int
    expires_at: datetime


def next_lease(held: LeaseView, holder: str, now: datetime, seconds: float) -> LeaseView | None:
    """The lease as `holder` has it from now on: a new one where it has ended, a longer one where it is theirs. Pure.

    None: it is another's. Names of holders are never used twice.
    """
    if held.expires_at > now and held.holder != holder:
        return None
    is_renewal = held.expires_at > now
    until = now + timedelta(seconds=seconds)
    return LeaseView(
        name=held.name,
        holder=holder,
        fence=held.fence if is_renewal else held.fence + 1,
        expires_at=max(until, held.expires_at) if is_renewal else until,
    )


def take(session: Session, name: str, holder: str, now: datetime, seconds: float) -> LeaseView | None:
    """Take a lease, or renew one's own; None where another holds it."""
    insert_missing(session, LEASE, {"name": name, "holder": "", "fence": 0, "expires_at": NEVER})
    row = run(session, select(LEASE).where(LEASE.c.name == name).with_for_update()).one()
    new = next_lease(view(row), holder, now, seconds)
    if new is not None:
        values = {"holder": new.holder, "fence": new.fence, "expires_at": new.expires_at}
        run(session, update(LEASE).where(LEASE.c.name == name).values(**values))
    return new


def give_back(session: Session, lease: LeaseView, now: datetime) -> None:
    """End a lease that is still held, so that the next holder need not wait."""
    c = LEASE.c
    mine = (c.name == lease.name, c.fence == lease.fence, c.expires_at > now)
    run(session, update(LEASE).where(*mine).values(expires_at=now))


def look(session: Session, name: str) -> LeaseView | None:
    """A lease as it stands; None where nobody has ever held it."""
    row = run(session, select(LEASE).where(LEASE.c.name == name)).one_or_none()
    return None if row is None else view(row)


def view(row: object) -> LeaseView:
    """A row as a value."""
    return LeaseView(**{field.name: getattr(row, field.name) for field in fields(LeaseView)})
