"""PostgreSQL: what a database URL says about the host behind it. Pure, but for `ping_after_a_pause`.

Hosts that end in `-pooler` (Neon) are PgBouncer in transaction mode: a session there is not one server connection, so
prepared statements, LISTEN and advisory locks belong on the direct host beside it. A pooler under another name is said
with `?pooled=true` in the URL; its direct host with `&direct=HOST`.
"""

import time
from typing import Any

from sqlalchemy import URL, Engine, event, exc, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

SUFFIX = "-pooler"

RECYCLE_SECONDS = 240
"""A connection is not used longer: Neon puts an idle database to sleep after 300 s and drops its connections."""

PAUSE_SECONDS = 1.0
"""A connection that was not used for so long is asked whether it lives before it is used again."""


def database_url(text: str) -> URL:
    """The URL with the driver that is installed; `sslmode`, `channel_binding` and their like go to it as they are."""
    url = make_url(text)
    if url.drivername in ("postgres", "postgresql"):
        url = url.set(drivername="postgresql+psycopg")
    return url.difference_update_query(["pooled", "direct"])


def is_pooled(text: str) -> bool:
    """Whether a pooler in transaction mode stands before the database."""
    url = make_url(text)
    said = url.query.get("pooled")
    if said is not None:
        return said == "true"
    return is_pooler(url.host)


def is_pooler(host: str | None) -> bool:
    """Whether the first label of the host's name ends in `-pooler`."""
    return (host or "").split(".", 1)[0].endswith(SUFFIX)


def direct_url(text: str) -> str | None:
    """The same database without its pooler, as libpq reads it; None where nobody has said where that is."""
    url = make_url(text).set(drivername="postgresql")
    if not is_pooled(text):
        return plain(url)
    host = url.query.get("direct")
    if host is None and is_pooler(url.host):
        label, _, rest = str(url.host).partition(".")
        host = label.removesuffix(SUFFIX) + (f".{rest}" if rest else "")
    if not isinstance(host, str):
        return None
    name, _, port = host.partition(":")
    return plain(url.set(host=name, port=int(port) if port else url.port))


def plain(url: URL) -> str:
    """The URL as text, without what only this program understands."""
    return url.difference_update_query(["pooled", "direct"]).render_as_string(hide_password=False)


def engine_options(text: str) -> dict[str, Any]:
    """How SQLAlchemy's engine is made for this URL."""
    connect: dict[str, Any] = {"prepare_threshold": None} if is_pooled(text) else {}
    return {"pool_recycle": RECYCLE_SECONDS, "connect_args": connect}


PLANS = ("plan_cache_mode = force_generic_plan", "enable_seqscan = off", "enable_sort = off")
"""A prepared statement is planned once for all values, which differ in nothing that a plan could use: left alone the
server plans the statements that read most anew each time, and that takes longer than to answer them. A plan made while
a table is nearly empty must not read or sort the whole of it later, when it is full: there is an index for whatever is
asked often."""


def plan_once(engine: Engine) -> None:
    """Set how the server plans, on every new connection."""

    @event.listens_for(engine, "connect")
    def say(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        for setting in PLANS:
            cursor.execute(f"SET {setting}")
        cursor.close()
        connection.commit()


def needs_ping(idle_seconds: float) -> bool:
    """Whether a connection was idle for so long that the host may have dropped it."""
    return idle_seconds > PAUSE_SECONDS


def ping_after_a_pause(engine: Engine) -> None:
    """Ask a connection that was idle whether it lives, and take another if not; a busy one is used at once."""

    @event.listens_for(engine, "checkin")
    def note(_connection: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
        record.info["used"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def ask(connection: DBAPIConnection, record: ConnectionPoolEntry, _proxy: PoolProxiedConnection) -> None:
        now = time.monotonic()
        if not needs_ping(now - record.info.get("used", now)):
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise exc.DisconnectionError from error
