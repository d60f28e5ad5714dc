"""Session: one transaction, as every function of the store takes it."""

from sqlalchemy import Connection


class Session:
    """The connection on which the statements of one transaction travel. `Store` opens and ends it."""

    def __init__(self, connection: Connection) -> None:
        self.open = connection
        self.dialect = connection.dialect.name
        self.is_quiet = False
        """Whether what is stored is nothing but signs of life, of which no note is taken."""

    def connection(self) -> Connection:
        """The open connection."""
        return self.open
