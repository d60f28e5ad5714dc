"""Store: one database, opened once a process, and the two kinds of transaction on it.

SQLite (WAL) by default, PostgreSQL by URL. On SQLite an acknowledged write survives the death of the process
(`synchronous=NORMAL`); a power cut may take the last few transactions with it, never a part of one. Who cannot live
with that uses PostgreSQL.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from typing import Any, Protocol

from sqlalchemy import Connection, CursorResult, Engine, Executable, Table, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from db import postgresql, tables_web  # noqa: F401  # a store has every table
from db.migrate import upgrade
from db.session import Session
from db.signals import Signals
from db.statements import inserting
from errors import Refusal


class Stored(Protocol):
    """A row as the database gives it: values by name, never leaving this package."""

    def __getattr__(self, name: str) -> Any:
        """The value of that name."""


BUSY_MS = 30_000
"""How long a SQLite connection waits for another process's transaction; each takes milliseconds."""


CONNECTIONS, KEPT = 40, 8
"""Connections that a process has at most, and those that it keeps open when they are idle."""


class Answer(Refusal):
    """Read the message: it answers the call. What was noted on the way is stored."""


Note = Callable[[Session], None]
"""Writes what a transaction carries beside its own."""


class Store:
    """An open database. `signals` wake who waits for what others write."""

    def __init__(self, engine: Engine, signals: Signals) -> None:
        self.engine = engine
        self.signals = signals
        self._writer = engine.execution_options(writes=True)
        options: dict[str, Any] = {"writes": False}
        if engine.dialect.name == "postgresql":
            options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        self._reader = engine.execution_options(**options)
        self._note: Note | None = None

    def noting(self, note: Note) -> "Store":
        """The same store, whose first transaction that commits a change also carries what `note` writes."""
        seen = copy(self)
        seen._note = note
        return seen

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A session that commits at the end, and rolls back when anything but an Answer is raised. Keep it short."""
        with self._writer.connect() as connection, connection.begin() as transaction:
            session, answer = Session(connection), None
            try:
                yield session
            except Answer as raised:
                answer = raised
            note = None if session.is_quiet else self._note
            if note is not None:
                note(session)
            transaction.commit()
        if note is not None:
            self._note = None
        if answer is not None:
            raise answer

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that sees one moment of the database and cannot write."""
        with self._reader.connect() as connection, connection.begin():
            yield Session(connection)

    def close(self) -> None:
        """Close every connection."""
        self.signals.close()
        self.engine.dispose()


def open_store(url: str, *, migrate: bool = True, connections: int = CONNECTIONS) -> Store:
    """Open the database at an SQLAlchemy URL, and bring its tables up to date where they are not.

    `connections` are open at most; who needs one more waits for it.

    Raises StoreTooNew for a database that a later version of the program has changed.
    """
    direct = None if url.startswith("sqlite") else postgresql.direct_url(url)
    store = Store(connect(url, connections), Signals(direct))
    try:
        if migrate:
            bring_up_to_date(store.engine, direct if direct is not None and postgresql.is_pooled(url) else None)
    except BaseException:
        store.close()
        raise
    return store


def bring_up_to_date(engine: Engine, direct: str | None) -> None:
    """Run missing migrations; `direct` is the host to do it on where a pooler stands before the database."""
    if direct is None:
        upgrade(engine)
        return
    beside = connect(direct)
    try:
        upgrade(beside)
    finally:
        beside.dispose()


def connect(url: str, connections: int = CONNECTIONS) -> Engine:
    """An engine whose SQLite connections behave: SQLAlchemy, not the driver, begins transactions."""
    if not url.startswith("sqlite"):
        engine = create_engine(postgresql.database_url(url), **pool_of(connections), **postgresql.engine_options(url))
        postgresql.ping_after_a_pause(engine)
        if not postgresql.is_pooled(url):
            postgresql.plan_once(engine)
        return engine
    engine = create_engine(url, **pool_of(connections), connect_args={"timeout": BUSY_MS / 1000})
    event.listen(engine, "connect", set_pragmas)
    event.listen(engine, "begin", begin)
    return engine


def pool_of(connections: int) -> dict[str, int]:
    """A pool that keeps a few connections open and never has more than so many."""
    kept = min(KEPT, connections)
    return {"pool_size": kept, "max_overflow": connections - kept}


def set_pragmas(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    """What every SQLite connection needs before its first statement."""
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (f"busy_timeout={BUSY_MS}", "journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def begin(connection: Connection) -> None:
    """Begin on SQLite: a writer takes the write lock at once, so it never finds out half-way that it is too late."""
    writes = connection.get_execution_options().get("writes", True)
    connection.exec_driver_sql(f"PRAGMA query_only={'OFF' if writes else 'ON'}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def run(
    session: Session, statement: Executable, rows: list[dict[str, Any]] | None = None
) -> CursorResult[*tuple[Any, ...]]:
    """Send one statement past the object mapper; with `rows`, once for each of them."""
    return session.connection().execute(statement, rows)


def insert_missing(session: Session, table: Table, values: Mapping[str, Any]) -> bool:
    """Insert a row unless one with the same key exists, whoever else is inserting it. True: it was new."""
    new = inserting(session.dialect, table).values(**values).on_conflict_do_nothing()
    return run(session, new.returning(*table.primary_key)).first() is not None
