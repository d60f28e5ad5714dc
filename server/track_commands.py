"""`igla track`: what the tracks are, a trial on this machine without a server, boards, and claims read from logs."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from server.settings import Settings

track = typer.Typer(no_args_is_help=True, help="Tracks of the arena: list, show, run an entry here, read logs.")

DataOption = Annotated[Path | None, typer.Option("--data", help="Folder of database, artifacts and keys [IGLA_DATA].")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
TrackName = Annotated[str, typer.Argument(help="Name of the track; `igla track list` names them all.")]


def settings_in(data: Path | None) -> Settings:
    """The environment's settings, in the given folder."""
    given: dict[str, Any] = {} if data is None else {"data": data}
    return Settings(**given)


@track.command("list")
def track_list(as_json: JsonOption = False, data: DataOption = None) -> None:
    """Every track with its budget and corpus."""
    from server.track_run import known

    found = known(settings_in(data))
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found.values()]))
        return
    name = Column("track", no_wrap=True)
    table = Table(name, "train", "predict", "bytes", Column("corpus", no_wrap=True), "held-out", "for")
    for one in found.values():
        limits = one.limits
        seconds = [f"{value:g} s" for value in (limits.train_seconds, limits.predict_seconds)]
        table.add_row(one.name, *seconds, f"{limits.artifact_bytes:,}", one.corpus, one.heldout, one.hardware)
    Console().print(table)


@track.command("show")
def track_show(name: TrackName, as_json: JsonOption = False, data: DataOption = None) -> None:
    """All that a track fixes: limits, corpus, seeds and gates."""
    from server.track_run import named

    found = asdict(named(settings_in(data), name))
    typer.echo(json.dumps(found)) if as_json else Console().print_json(data=found)


@track.command("run")
def track_run(
    name: TrackName,
    script: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The entry's script.")],
    seed: Annotated[list[int] | None, typer.Option(help="Seed; repeat for more. Default: the track's first.")] = None,
    all_seeds: Annotated[bool, typer.Option("--all-seeds", help="All seeds of the track.")] = False,
    env: Annotated[str, typer.Option(help="JSON: environment variables that the script is given.")] = "{}",
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Train and score an entry in the sandbox of this machine, without a server; exit code 1 when a check fails.

    Nothing is stored: a number that ranks comes from `submit_entry` and `run_entry` on a server.
    """
    from server.track_run import run, tell

    found = run(settings_in(data), name, script, tuple(seed or ()), env, all_seeds=all_seeds)
    typer.echo(json.dumps(found)) if as_json else tell(Console(), found)
    raise typer.Exit(0 if all(one["failed"] is None for one in found["outcomes"]) else 1)


@track.command("board")
def track_board(name: TrackName, as_json: JsonOption = False, data: DataOption = None) -> None:
    """The entries of a track: measured ones ranked, claimed ones apart, and the gates of the leader."""
    from server.track_run import board, show_board

    found = board(settings_in(data), name)
    typer.echo(json.dumps(found)) if as_json else show_board(Console(), found)


@track.command("log")
def track_log(
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="Logs, and a submission.json.")],
    as_json: JsonOption = False,
) -> None:
    """Read training logs and a submission of parameter-golf: what they claim, leave out and contradict.

    All of it is claimed: nothing in a log is measured, and nothing read here is stored.
    """
    from server.claims import claims

    found = claims(files)
    if as_json:
        typer.echo(json.dumps(found))
        return
    for one in [*found["logs"], *found["submissions"]]:
        Console().print(claim_table(one))
    for text in found["disagreements"]:
        Console().print(Text(f"they disagree: {text}", style="red"))


def claim_table(found: dict[str, Any]) -> Table:
    """One file's claims as a table."""
    table = Table("field", "claimed", title=Text(found["file"]))
    for name, value in found.items():
        if name in ("file", "points", "scores") or value in (None, [], {}):
            continue
        shown = value if isinstance(value, str) else json.dumps(value)
        table.add_row(name, Text(printable(shown), style="red" if name == "contradictions" else ""))
    return table


def printable(text: str) -> str:
    """Text from outside without characters that a terminal acts on."""
    return "".join(sign if sign.isprintable() else " " for sign in text)
