"""`igla log`: who changed what. `igla traffic`: who calls what, as it happens."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import timedelta
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
    """A value for people."""
    if isinstance(value, Mapping):
        return " ".join(f"{name}={one}" for name, one in value.items())
    return f"{value:%Y-%m-%d %H:%M:%S}" if hasattr(value, "isoformat") else str(value)
