"""Tokens: bearer secrets with scopes. The store keeps their SHA-256; the secret is shown once, when it is made."""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from sqlalchemy import insert, or_, select, update

from db.session import Session
from db.store import run
from db.tables import TOKEN
from errors import InvalidValue, shown, unknown

SCOPES = ("read", "submit", "work", "measure", "referee", "admin")
PREFIX_LENGTH = 13
"""Characters of the secret that name a token in lists: `igla_` and 48 of its 256 bits."""

FOREIGN = "oauth:"
"""Names of principals of an authorization server begin with this; those of our tokens do not."""


@dataclass(frozen=True, kw_only=True)
class TokenView:
    """A token without its secret. last_used_at: to about a minute."""

    prefix: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Principal:
    """Who calls, and what they may do. credential: the prefix of their token, empty without one."""

    name: str
    scopes: frozenset[str]
    credential: str = ""


LOCAL = Principal(name="local", scopes=frozenset({"admin"}))
"""Who works on this machine where no token is needed."""

ADMIN = Principal(name="admin", scopes=frozenset({"admin"}))
"""Who holds the token of IGLA_ADMIN_TOKEN."""


def create(
    session: Session, name: str, scopes: Sequence[str], now: datetime, expires_at: datetime | None = None
) -> tuple[str, TokenView]:
    """Make a token. The secret is given here and nowhere else."""
    if not scopes or not 0 < len(name) <= 64:
        raise InvalidValue("A token needs a name of at most 64 characters and at least one scope.")
    if name.startswith(FOREIGN):
        raise InvalidValue(f"Names that begin with {FOREIGN} belong to the authorization server.")
    for scope in scopes:
        if scope not in SCOPES:
            raise unknown("scope", scope, SCOPES)
    if expires_at is not None and expires_at <= now:
        raise InvalidValue(f"A token cannot have expired before it is made, got {shown(expires_at.isoformat())}.")
    secret = "igla_" + secrets.token_urlsafe(32)
    values = {"prefix": secret[:PREFIX_LENGTH], "name": name, "scopes": sorted(set(scopes)), "created_at": now}
    row = insert(TOKEN).values(**values, digest=digest_of(secret), expires_at=expires_at).returning(TOKEN)
    return secret, view(run(session, row).one())


@dataclass(frozen=True, kw_only=True)
class Found:
    """Whose a secret is, until when, and when it was used before."""

    principal: Principal
    expires_at: datetime | None
    last_used_at: datetime | None


def rotate(
    session: Session, prefix_or_name: str, now: datetime, grace_seconds: float
) -> tuple[str, TokenView, TokenView]:
    """Make a token with the name, the scopes and the lifetime of one that lives; the old one ends after the grace.

    Gives the new secret, the new token and the old one. A name that several living tokens have is refused.
    """
    which = or_(TOKEN.c.prefix == prefix_or_name, TOKEN.c.name == prefix_or_name)
    lives = (TOKEN.c.revoked_at.is_(None), or_(TOKEN.c.expires_at.is_(None), TOKEN.c.expires_at > now))
    living = run(session, select(TOKEN).where(which, *lives).order_by(TOKEN.c.prefix).with_for_update()).all()
    if not living:
        raise unknown("token that lives", prefix_or_name, run(session, select(TOKEN.c.name).where(*lives)).scalars())
    if len(living) > 1:
        raise InvalidValue(f"Several tokens have this name; say which: {', '.join(row.prefix for row in living)}.")
    old = view(living[0])
    fresh = None if old.expires_at is None else now + (old.expires_at - old.created_at)
    secret, new = create(session, old.name, old.scopes, now, fresh)
    ends = now + timedelta(seconds=grace_seconds)
    last = {"revoked_at": now} if grace_seconds <= 0 else {"expires_at": min(old.expires_at or ends, ends)}
    ended = update(TOKEN).where(TOKEN.c.prefix == old.prefix).values(**last).returning(TOKEN)
    return secret, new, view(run(session, ended).one())


def listing(session: Session) -> list[TokenView]:
    """Every token, oldest first, revoked ones included."""
    return [view(row) for row in run(session, select(TOKEN).order_by(TOKEN.c.created_at, TOKEN.c.prefix))]


def revoke(session: Session, prefix_or_name: str, now: datetime) -> list[TokenView]:
    """Revoke the tokens of this prefix or name. Revoking again keeps the first time."""
    which = or_(TOKEN.c.prefix == prefix_or_name, TOKEN.c.name == prefix_or_name)
    run(session, update(TOKEN).where(which, TOKEN.c.revoked_at.is_(None)).values(revoked_at=now))
    found = [view(row) for row in run(session, select(TOKEN).where(which).order_by(TOKEN.c.prefix))]
    if not found:
        raise unknown("token", prefix_or_name, run(session, select(TOKEN.c.name)).scalars())
    return found


def verify(session: Session, secret: str, now: datetime) -> Principal | None:
    """Who the secret belongs to; None for one that is unknown, expired or revoked."""
    found = look_up(session, secret, now)
    return None if found is None else found.principal


def look_up(session: Session, secret: str, now: datetime) -> Found | None:
    """The same with what a server remembers of it. Compares in constant time."""
    if not secret.isprintable():  # no token has such signs, and PostgreSQL takes no U+0000
        return None
    row = run(session, select(TOKEN).where(TOKEN.c.prefix == secret[:PREFIX_LENGTH])).one_or_none()
    if row is None or not hmac.compare_digest(row.digest, digest_of(secret)):
        return None
    if row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= now):
        return None
    principal = Principal(name=row.name, scopes=frozenset(row.scopes), credential=row.prefix)
    return Found(principal=principal, expires_at=row.expires_at, last_used_at=row.last_used_at)


USED_SECONDS = 60.0
"""A use of a token is noted this often at most."""


def is_due(last_used_at: datetime | None, now: datetime) -> bool:
    """Whether a use is to be noted. Pure."""
    return last_used_at is None or (now - last_used_at).total_seconds() >= USED_SECONDS


def used(session: Session, prefix: str, now: datetime) -> None:
    """Note that a token was used, unless somebody noted it within the minute."""
    before = or_(TOKEN.c.last_used_at.is_(None), TOKEN.c.last_used_at <= now - timedelta(seconds=USED_SECONDS))
    run(session, update(TOKEN).where(TOKEN.c.prefix == prefix, before).values(last_used_at=now))


def any_exists(session: Session) -> bool:
    """Whether a token was ever made."""
    return run(session, select(TOKEN.c.prefix).limit(1)).first() is not None


def digest_of(secret: str) -> str:
    """What is stored of a secret. It has 256 random bits, so a plain hash is enough."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def view(row: object) -> TokenView:
    """A row as a value."""
    values = {field.name: getattr(row, field.name) for field in fields(TokenView)}
    return TokenView(**{**values, "scopes": tuple(values["scopes"])})
