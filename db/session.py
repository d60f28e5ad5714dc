"""Session: one transaction, as every function of the store takes it."""

from typing import Literal

from sqlalchemy import Connection

Counted = tuple[str, float, dict[str, str]]
"""Name of a meter, amount or seconds, and labels; see `meters`."""
Touched = tuple[Literal["job", "race"], str]
"""A job or a race, by its id."""


class Session:
    """The connection on which the statements of one transaction travel. `Store` opens and ends it.

    touched: jobs and races that it has changed, of which `changes` tells when it is committed.
    """

    def __init__(self, connection: Connection) -> None:
        self.open = connection
        self.dialect = connection.dialect.name
        self.counted: list[Counted] = []
        self.is_quiet = False
        """Whether what is stored is nothing but signs of life, of which no note is taken."""
        self.touched: set[Touched] = set()

    def connection(self) -> Connection:
        """The open connection."""
        return self.open

    def count(self, meter: str, amount: float = 1.0, **labels: str) -> None:
        """Count something, if this transaction is committed: an amount, or the seconds of a histogram."""
        self.counted.append((meter, amount, labels))
