"""Table of the dashboard: sessions of browsers that have signed in with a token."""

from datetime import datetime

from sqlmodel import Field

from db.tables import Base, table


class WebSession(Base, table=True):
    """A browser that has signed in: the SHA-256 of its cookie, never the cookie.

    parent: prefix of the token that it signed in with, NULL for the operator's token of the environment.
    parent_digest: SHA-256 of that token.
    """

    __tablename__ = "web_session"
    digest: str = Field(primary_key=True)
    parent: str | None = Field(foreign_key="token.prefix")
    parent_digest: str
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None


WEB_SESSION = table(WebSession)
