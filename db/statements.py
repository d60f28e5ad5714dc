"""Statements: those of every claim and every write, compiled once for each engine and handed straight to the driver.

Building a statement and matching its result costs a busy server more than the database's own work. A `Prepared` does
both once; a row of its result has its values by name, typed as the tables say, like any other row.
"""

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import BindParameter, Connection, Dialect, Executable, Table, TypeDecorator, bindparam
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler

from db.session import Session

Processor = Callable[[Any], Any]

HOW: dict[str, dict[str, bool]] = {"sqlite": {}, "postgresql": {"binary": True}}
"""How a cursor is made: numbers and times come from PostgreSQL as they are, not as text."""


class Prepared:
    """A statement whose parameters are named. `build` makes it for a dialect: "postgresql" or "sqlite".

    `row` makes a row of its values; without it they stand under the names of the columns.
    """

    def __init__(self, build: Callable[[str], Executable], row: Callable[[Iterable[Any]], Any] | None = None) -> None:
        self.build = build
        self.row = row
        self.compiled: dict[str, Compiled] = {}

    def rows(self, session: Session, **values: Any) -> list[Any]:
        """Send it and read every row."""
        compiled, cursor = self.sent(session, values)
        try:
            return compiled.loaded(cursor.fetchall())
        finally:
            cursor.close()

    def one_or_none(self, session: Session, **values: Any) -> Any:
        """The one row, or None; more than one is a mistake in the statement."""
        found = self.rows(session, **values)
        assert len(found) < 2, "the statement gave more than one row"
        return found[0] if found else None

    def count(self, session: Session, **values: Any) -> int:
        """Send a statement without a result; gives how many rows it touched."""
        _, cursor = self.sent(session, values)
        touched: int = cursor.rowcount
        cursor.close()
        return touched

    def many(self, session: Session, rows: Iterable[Mapping[str, Any]]) -> None:
        """Send a statement without a result once for each of these values."""
        connection = session.connection()
        compiled, cursor = self.compiled_for(session), connection.connection.cursor()
        bound = [compiled.bound(one) for one in rows]
        try:
            cursor.executemany(compiled.sql, bound)
        except Exception as error:
            raise wrapped(connection, compiled.sql, {}, error) from error
        finally:
            cursor.close()

    def compiled_for(self, session: Session) -> "Compiled":
        """The statement for the session's engine."""
        compiled = self.compiled.get(session.dialect)
        if compiled is None:
            dialect = session.connection().dialect
            compiled = self.compiled[session.dialect] = Compiled(self.build(session.dialect), dialect, self.row)
        return compiled

    def sent(self, session: Session, values: Mapping[str, Any]) -> tuple["Compiled", Any]:
        """The driver's cursor after the statement was executed."""
        connection = session.connection()
        compiled = self.compiled_for(session)
        cursor: Any = connection.connection.cursor(**HOW[session.dialect])
        try:
            cursor.execute(compiled.sql, compiled.bound(values))
        except Exception as error:
            raise wrapped(connection, compiled.sql, values, error) from error
        return compiled, cursor


def wrapped(connection: Connection, sql: str, values: Mapping[str, Any], error: Exception) -> Exception:
    """The error as SQLAlchemy raises it, whatever sent the statement. A connection that broke is not used again."""
    dialect = connection.dialect
    assert dialect.loaded_dbapi is not None
    broken = isinstance(error, dialect.loaded_dbapi.Error) and dialect.is_disconnect(error, None, None)
    if broken:
        connection.invalidate(error)
    return DBAPIError.instance(
        sql, dict(values), error, dialect.loaded_dbapi.Error, connection_invalidated=broken, dialect=dialect
    )


def inserting(dialect: str, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An INSERT that can say what happens ON CONFLICT; both engines know it, each under a name of its own."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


def new_values(table: Table, names: Iterable[str]) -> dict[str, BindParameter[Any]]:
    """What an UPDATE of these columns sets them to: parameters named `new_` and the column's name."""
    return {name: bindparam(f"new_{name}", type_=table.c[name].type) for name in names}


class Compiled:
    """A statement's text for one dialect, and how its values travel."""

    def __init__(self, statement: Any, dialect: Dialect, row: Callable[[Iterable[Any]], Any] | None = None) -> None:
        compiled = statement.compile(dialect=dialect)
        assert isinstance(compiled, SQLCompiler)
        self.sql = str(compiled)
        self.names: Sequence[str] | None = compiled.positiontup
        binds = {name: bind for bind, name in compiled.bind_names.items()}
        self.fixed = {name: bind.value for name, bind in binds.items() if not bind.required}
        self.binders = processors(
            (name, bind.type.dialect_impl(dialect).bind_processor(dialect)) for name, bind in binds.items()
        )
        columns = list(statement.exported_columns.items())
        self.row = row or row_of([name for name, _ in columns])
        self.loaders = processors((i, loader(column.type, dialect)) for i, (_, column) in enumerate(columns))

    def bound(self, values: Mapping[str, Any]) -> Any:
        """Values as the driver takes them: by name, or in the order of the text."""
        given = {**self.fixed, **values}
        for name, process in self.binders.items():
            given[name] = process(given[name])
        return given if self.names is None else [given[name] for name in self.names]

    def loaded(self, found: Iterable[Sequence[Any]]) -> list[Any]:
        """The driver's rows with their values by name."""
        if not self.loaders:
            return list(map(self.row, found))
        return [self.row(self.converted(list(row))) for row in found]

    def converted(self, row: list[Any]) -> list[Any]:
        """A row whose values are typed as the tables say."""
        for i, process in self.loaders.items():
            row[i] = process(row[i])
        return row


def row_of(names: list[str]) -> Callable[[Iterable[Any]], Any]:
    """What makes a row with values of these names."""
    kind: Any = namedtuple("row", names)  # type: ignore[misc]
    make: Callable[[Iterable[Any]], Any] = kind._make
    return make


def loader(kind: Any, dialect: Dialect) -> Processor | None:
    """What makes a value of this type of what the driver gives; psycopg knows every type but those of our own."""
    if dialect.name != "sqlite" and not isinstance(kind, TypeDecorator):
        return None
    process: Processor | None = kind.dialect_impl(dialect).result_processor(dialect, None)
    return process


def processors(found: Iterable[tuple[Any, Processor | None]]) -> dict[Any, Processor]:
    """Those that do something."""
    return {key: process for key, process in found if process is not None}
