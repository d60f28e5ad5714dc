"""Migrate: bring the tables to the version of this program, once, however many processes start together.

The scripts lie in `migrations/versions`, named `NNNN_subject.py` after the revision they lead to.
"""

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from errors import Refusal, shown

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK = 1_229_409_345
"""Key of PostgreSQL's advisory lock: the letters IGLA."""


class StoreTooNew(Refusal):
    """Start the version of igla that this database belongs to, or a later one."""

    code = "store_too_new"
    status = 503


def versions() -> list[str]:
    """The revisions that this program knows, oldest first."""
    return sorted(file.name.split("_", 1)[0] for file in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def upgrade(engine: Engine) -> None:
    """Run what is missing, in one transaction under a lock. A database that is up to date costs one query."""
    with engine.execution_options(writes=False).connect() as connection:
        if version(connection) == versions()[-1]:
            return
    with engine.execution_options(writes=True).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
        found = version(connection)
        if found and found not in versions():
            raise StoreTooNew(f"The database has version {shown(found)}; this program knows up to {versions()[-1]}.")
        if found != versions()[-1]:
            run_scripts(connection)


def version(connection: Connection) -> str | None:
    """The revision of the database; None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def run_scripts(connection: Connection) -> None:
    """Hand the open transaction to Alembic, which is imported only here: it takes a third of a second."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
