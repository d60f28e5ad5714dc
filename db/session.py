"""Session: one transaction, as every function of the store takes it."""

from typing import Literal

from sqlalchemy import Connection

Touched = tuple[Literal["job", "race"], str]
"""A job or a race, by its id."""


class Session:
    """The connection on which the statements of one transaction travel. `Store` opens and ends it.

    touched: jobs and races that it has changed, of which `changes` tells when it is committed.
    """

    def __init__(self, connection: Connection) -> None:
        self.open = connection
        self.dialect = connection.dialect.name
        self.touched: set[Touched] = set()

    def connection(self) -> Connection:
        """The open connection."""
        return self.open
