"""`igla log`: who changed what. `igla traffic`: who calls what, as it happens."""

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from server.settings import Settings

DataOption = Annotated[Path | None, typer.Option("--data", help="Folder of database, artifacts and keys [IGLA_DATA].")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]


def add_log(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("log")(log)
    app.command("traffic")(traffic)


def log(
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Rows at most, the newest.")] = 50,
    principal: Annotated[str | None, typer.Option(help="Of this principal only.")] = None,
    action: Annotated[str | None, typer.Option(help="Of this tool or command only.")] = None,
    request: Annotated[str | None, typer.Option(help="Of this request id only.")] = None,
    hours: Annotated[float | None, typer.Option(min=0.0, max=1e6, help="Of the last hours only.")] = None,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Show who changed what, newest first: one row for each committed mutation."""
    from db import audit
    from server.runtime import open_runtime, utc_now

    since = None if hours is None else utc_now() - timedelta(hours=hours)
    with open_runtime(settings_of(data)).store.reading() as session:
        found = audit.rows(session, limit, principal=principal, action=action, request_id=request, since=since)
    show((asdict(one) for one in found), ("at", "principal", "credential", "doorway", "action", "subject"), as_json)


def traffic(
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Calls at most, the latest.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until interrupted.")] = False,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Show who called what and how it ended, refused calls too, the latest last."""
    from db.traffic import after, latest
    from server.runtime import open_runtime

    columns = ("at", "principal", "doorway", "tool", "subject", "code", "seconds")
    store = open_runtime(settings_of(data)).store
    with store.reading() as session:
        found = latest(session, limit)[::-1]
    show((asdict(one) for one in found), columns, as_json)
    seen = found[-1].id if found else 0
    while follow:
        with store.reading() as session:
            found = after(session, seen)
        for one in found:
            row, seen = asdict(one), one.id
            line = json.dumps(row, default=str) if as_json else "  ".join(cell(row[name]) for name in columns)
            typer.echo(line)
        time.sleep(0.0 if found else 0.5)


def settings_of(data: Path | None) -> Settings:
    """The environment's settings, with the data folder of the command line."""
    return Settings(**({"data": data} if data else {}))  # type: ignore[arg-type]


def show(rows: Iterable[Mapping[str, Any]], columns: tuple[str, ...], as_json: bool) -> None:
    """Rows as JSON lines, or as a table of these columns. What stands in them is never taken for markup."""
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row, default=str, separators=(",", ":")))
        return
    table = Table(*columns)
    for row in rows:
        table.add_row(*(Text(cell(row[name])) for name in columns))
    Console().print(table)


def cell(value: Any) -> str:
    """A value for people; names that others chose send nothing to the terminal but signs."""
    if isinstance(value, Mapping):
        return " ".join(f"{name}={cell(one)}" for name, one in value.items())
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    return "".join(one if one.isprintable() else "?" for one in text)
