"""Tables of who did what: `audit`, one row for each committed mutation, and `traffic`, one for each call.

They are only added to; rows go when their time is over, the oldest first.
"""

from datetime import datetime

from sqlalchemy import BigInteger, Index, Integer
from sqlmodel import Field

from db.tables import Base, Canonical, table

COUNTER = BigInteger().with_variant(Integer, "sqlite")
"""A number that the database counts up; SQLite counts only what it calls INTEGER, which is as wide."""


class Audit(Base, table=True):
    """A committed mutation: who, through which doorway, with which tool or command, about what.

    credential: the prefix of the caller's token, empty without one. subject: names and ids only.
    """

    __tablename__ = "audit"
    __table_args__ = (Index("ix_audit_at", "at"), Index("ix_audit_principal", "principal", "id"))
    id: int | None = Field(primary_key=True, default=None, sa_type=COUNTER)
    at: datetime
    principal: str
    credential: str
    doorway: str
    action: str
    request_id: str
    subject: dict[str, str] = Field(sa_type=Canonical)


class Traffic(Base, table=True):
    """A call of a tool, refused ones too, and how it ended. Ids grow in the order of the commits."""

    __tablename__ = "traffic"
    __table_args__ = (Index("ix_traffic_at", "at"),)
    id: int | None = Field(primary_key=True, default=None, sa_type=COUNTER)
    at: datetime
    tool: str
    read_only: bool
    principal: str
    credential: str
    doorway: str
    request_id: str
    subject: dict[str, str] = Field(sa_type=Canonical)
    code: str
    seconds: float


AUDIT, TRAFFIC = table(Audit), table(Traffic)
