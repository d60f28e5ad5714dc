"""Tables with which several processes agree: what has changed since one looked, and who does what only one may do."""

from datetime import datetime

from sqlalchemy import BigInteger
from sqlmodel import Field

from db.tables import Base, table


class Change(Base, table=True):
    """How far a topic has come, told after the commit that changed it. version: grows, in microseconds."""

    __tablename__ = "change"
    topic: str = Field(primary_key=True)
    version: int = Field(sa_type=BigInteger)


class Lease(Base, table=True):
    """Who does what only one process may do, and until when. fence: counts the holders."""

    __tablename__ = "lease"
    name: str = Field(primary_key=True)
    holder: str
    fence: int = Field(sa_type=BigInteger)
    expires_at: datetime


class Secret(Base, table=True):
    """What all processes of one database know and nobody else: made once, by whichever needs it first."""

    __tablename__ = "secret"
    name: str = Field(primary_key=True)
    value: str
    created_at: datetime


CHANGE, LEASE, SECRET = table(Change), table(Lease), table(Secret)
