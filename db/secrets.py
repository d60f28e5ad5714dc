"""Secrets that all processes of one database share: whoever needs one first makes it, and all others read that."""

import secrets
from datetime import datetime

from sqlalchemy import select

from db.session import Session
from db.store import insert_missing, run
from db.tables_scale import SECRET


def shared(session: Session, name: str, now: datetime) -> str:
    """The secret of that name, 256 random bits in hexadecimal."""
    insert_missing(session, SECRET, {"name": name, "value": secrets.token_hex(32), "created_at": now})
    return str(run(session, select(SECRET.c.value).where(SECRET.c.name == name)).scalar_one())
