"""Sessions of browsers: a cookie stands for a token, for some hours, and ends when the token does."""

import hmac
import secrets
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select, update

from db.session import Session
from db.store import run
from db.tables import TOKEN
from db.tables_web import WEB_SESSION
from db.tokens import PREFIX_LENGTH, Principal, digest_of

HOURS = 12
"""How long a session lasts at most."""


def create(session: Session, parent_secret: str, now: datetime, *, is_admin: bool = False) -> str:
    """Make a session for a token that was just checked. The cookie's secret is given here and nowhere else.

    is_admin: the token is the operator's, of the environment. Sessions that are over are removed on the way.
    """
    run(session, delete(WEB_SESSION).where(WEB_SESSION.c.expires_at < now))
    secret = "iglas_" + secrets.token_urlsafe(32)
    parent = None if is_admin else parent_secret[:PREFIX_LENGTH]
    times = {"created_at": now, "expires_at": now + timedelta(hours=HOURS), "ended_at": None}
    values = {"digest": digest_of(secret), "parent": parent, "parent_digest": digest_of(parent_secret), **times}
    run(session, insert(WEB_SESSION).values(**values))
    return secret


def verify(session: Session, secret: str, now: datetime, admin_secret: str | None) -> Principal | None:
    """Who the cookie's secret stands for, with the scopes that its token has now; None where either is over.

    admin_secret: the operator's token of the environment as it is now.
    """
    c, t = WEB_SESSION.c, TOKEN.c
    columns = [c.parent, c.parent_digest, c.expires_at, c.ended_at]
    token = [t.digest, t.name, t.scopes, t.revoked_at, t.expires_at.label("token_expires_at")]
    found = select(*columns, *token).outerjoin(TOKEN, t.prefix == c.parent).where(c.digest == digest_of(secret))
    row = run(session, found).one_or_none()
    if row is None or row.ended_at is not None or row.expires_at <= now:
        return None
    if row.parent is None:
        is_same = admin_secret is not None and hmac.compare_digest(row.parent_digest, digest_of(admin_secret))
        return Principal(name="admin", scopes=frozenset({"admin"})) if is_same else None
    if row.digest != row.parent_digest or row.revoked_at is not None:
        return None
    if row.token_expires_at is not None and row.token_expires_at <= now:
        return None
    return Principal(name=row.name, scopes=frozenset(row.scopes), credential=row.parent)


def end(session: Session, secret: str, now: datetime) -> None:
    """End a session. The first time stays."""
    c = WEB_SESSION.c
    run(session, update(WEB_SESSION).where(c.digest == digest_of(secret), c.ended_at.is_(None)).values(ended_at=now))
