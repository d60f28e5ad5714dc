"""Command line of igla: the race, the server, and every tool as a subcommand.

Only what a command needs is imported when it runs: `igla serve` must be ready in under three seconds.
"""

import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from sqlalchemy.exc import DatabaseError

from errors import InvalidValue, Refusal
from server.log_commands import add_log
from server.manual import race_manual
from server.matrix_commands import add_matrix_commands
from server.model_commands import add_model_commands
from server.settings import Settings
from server.token_commands import token
from server.tool_commands import add_tools
from server.track_commands import track
from server.words import from_json, words

app = typer.Typer(name="igla", no_args_is_help=True, add_completion=False, rich_markup_mode="rich",
                  pretty_exceptions_show_locals=False, help="""
igla: the race server for agent-run training. It trains, measures and ranks; nobody has to be believed.

[bold]igla race[/bold] runs a whole race here. [bold]igla serve[/bold] lets agents play over MCP and HTTP. Every tool is
a command too: see the panel below; --json prints the same object as the other doorways.
""")  # fmt: skip
worker = typer.Typer(no_args_is_help=True, help="Enroll, list and revoke workers whose own receipts count.")
app.add_typer(worker, name="worker")
app.add_typer(token, name="token")
app.add_typer(track, name="track")

DataOption = Annotated[Path | None, typer.Option("--data", help="Folder of database, artifacts and keys [IGLA_DATA].")]


def settings_with(**given: Any) -> Settings:
    """The environment's settings, with what the command line gave."""
    return Settings(**{name: value for name, value in given.items() if value is not None})


@app.command(help=race_manual())
def race(
    name: Annotated[str, typer.Option(help="Name of the race; one that was cut short goes on.")] = "",
    budget: Annotated[str, typer.Option(help="Time for the whole race (3m) or text of a top-rung run (4MB).")] = "3m",
    grid: Annotated[
        str, typer.Option(help="JSON: field to list of values; every combination is a recipe. Or the name phi_ladder.")
    ] = "",
    recipes: Annotated[str, typer.Option(help="JSON: list of recipes, beside the grid or instead of it.")] = "",
    matrix: Annotated[
        str,
        typer.Option(
            help="Number formats, separated by commas, or tour: each with each optimizer, for the whole budget."
        ),
    ] = "",
    optimizers: Annotated[str, typer.Option(help="Optimizers of the matrix, separated by commas.")] = "adamw,muon",
    place: Annotated[str, typer.Option(help="What the matrix rounds: weights, activations, gradients.")] = "weights",
    base: Annotated[str, typer.Option(help="JSON: recipe fields that all recipes share.")] = "",
    seeds: Annotated[str, typer.Option(help="Seeds of the race, separated by commas.")] = "",
    engines: Annotated[int | None, typer.Option(help="Engine processes; default: one a core.")] = None,
    report: Annotated[
        Path | None, typer.Option(help="Where the HTML report goes; default: in the data folder.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the board as JSON; the rest goes to stderr.")] = False,
    data: DataOption = None,
) -> None:
    """Run a whole race on this machine (the manual is made from the plug-ins)."""
    from server.race_command import race_command
    from training.grids import DEFAULT_RECIPES, GRIDS, MATRICES
    from training.matrix_plan import MatrixPlan
    from training.plan import Plan

    chosen = settings_with(engines=engines, data=data)
    name = name or f"race-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    plan = None
    if grid or recipes or seeds or matrix or base:
        given = from_json(f"[{seeds}]", "seeds", []) if seeds else None
        chosen_recipes = from_json(recipes, "recipes", [] if grid or matrix else list(DEFAULT_RECIPES))
        fields = GRIDS[grid] if grid in GRIDS else from_json(grid, "grid", {})
        cells = (
            MatrixPlan(formats=MATRICES.get(matrix, words(matrix)), optimizers=words(optimizers), place=place)
            if matrix
            else None
        )
        plan = Plan(
            base=from_json(base, "base", {}), grid=fields, recipes=chosen_recipes, matrix=cells, whole=bool(matrix),
            seeds=given,
        )  # fmt: skip
    race_command(chosen, name, plan, budget, report or chosen.data / f"{name}.html", as_json=as_json)


@app.command()
def ttt(
    budget: Annotated[str, typer.Option(help="Text that each seed trains on.")] = "400kB",
    recipe: Annotated[str, typer.Option(help="JSON: a recipe; one without a mode takes e2e.")] = "",
    seeds: Annotated[str, typer.Option(help="Seeds, separated by commas.")] = "1597,2584,4181",
    corpus: Annotated[str, typer.Option(help="Corpus by name or path.")] = "stdlib",
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    data: DataOption = None,
) -> None:
    """Train, score plainly, score with test-time training, and report over the seeds."""
    from server.ttt_command import ttt_command

    fields, chosen = from_json(recipe, "recipe", {}), from_json(f"[{seeds}]", "seeds", [])
    ttt_command(settings_with(data=data), corpus, fields, budget, chosen, as_json=as_json)


@app.command()
def status(
    race: Annotated[str | None, typer.Argument(help="A race; leave out for all.")] = None, data: DataOption = None
) -> None:
    """Show races, or the jobs of one race."""
    from server.runtime import open_runtime
    from server.status import show_jobs, show_races

    runtime = open_runtime(settings_with(data=data))
    Console().print(show_jobs(runtime, race) if race else show_races(runtime))


@app.command()
def report(
    race: Annotated[str, typer.Argument(help="The race.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File; default: RACE.html here.")] = None,
    data: DataOption = None,
) -> None:
    """Write one self-contained HTML file: leaderboard, curves, what was stopped and why."""
    from server.report import write_report
    from server.runtime import open_runtime

    file = output or Path(f"{race}.html")
    write_report(open_runtime(settings_with(data=data)), race, file)
    typer.echo(str(file.resolve()))


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; others than loopback need a token.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one.")] = None,
    engines: Annotated[int | None, typer.Option(help="Engine processes; default: one a core.")] = None,
    scorers: Annotated[int | None, typer.Option(help="Scorer processes; default: one where engines run.")] = None,
    arenas: Annotated[
        int | None, typer.Option(help="Arena processes; default: one where engines run and entries can.")
    ] = None,
    data: DataOption = None,
) -> None:
    """Serve MCP at /mcp and HTTP at /api/<tool>, with engine, scorer and arena processes beside the web process."""
    from server.serve import serve_all

    serve_all(settings_with(host=host, port=port, engines=engines, scorers=scorers, arenas=arenas, data=data))


@app.command(rich_help_panel="Processes")
def engine(
    name: Annotated[str, typer.Option(help="Name of this engine; a new one of the same name takes over its work.")],
    data: DataOption = None,
    with_parent: Annotated[bool, typer.Option("--with-parent", help="End when standard input closes.")] = False,
) -> None:
    """Train chunks for a server that uses the same database and artifacts."""
    from server.engine_main import run_engine

    run_engine(settings_with(data=data), name, with_parent=with_parent)


@app.command(rich_help_panel="Processes")
def scorer(
    name: Annotated[str, typer.Option(help="Name of this scorer; a new one of the same name takes over its work.")],
    data: DataOption = None,
    with_parent: Annotated[bool, typer.Option("--with-parent", help="End when standard input closes.")] = False,
) -> None:
    """Measure uploaded checkpoints for a server that uses the same database and artifacts."""
    from server.scorer_main import run_scorer

    run_scorer(settings_with(data=data), name, with_parent=with_parent)


@app.command(rich_help_panel="Processes")
def arena(
    name: Annotated[str, typer.Option(help="Name of this runner; a new one of the same name takes over its work.")],
    data: DataOption = None,
    with_parent: Annotated[bool, typer.Option("--with-parent", help="End when standard input closes.")] = False,
) -> None:
    """Run entries in a sandbox for a server that uses the same database and artifacts; Linux only."""
    from server.arena_main import run_arena

    run_arena(settings_with(data=data), name, with_parent=with_parent)


@app.command(rich_help_panel="Processes")
def mcp(data: DataOption = None) -> None:
    """Serve one MCP client on standard input and output, with engine processes beside it."""
    from server.serve import serve_stdio_client

    serve_stdio_client(settings_with(data=data))


@app.command()
def work(
    server: Annotated[str | None, typer.Option(envvar="IGLA_SERVER", help="Address of the server.")] = None,
    token: Annotated[
        str | None,
        typer.Option(envvar="IGLA_TOKEN", show_envvar=True, help="Token with scope work; best by IGLA_TOKEN."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of this worker; default: host and process.")] = None,
    race: Annotated[str | None, typer.Option(help="Work for this race only.")] = None,
    key: Annotated[
        Path | None,
        typer.Option(help="Key that signs scores, made when missing; without --server: print its public part."),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder of corpora and checkpoints; default: ~/.cache/igla.")
    ] = None,
    max_failures: Annotated[int, typer.Option(min=1, help="Stop after so many failed jobs in a row.")] = 10,
    idle_exit: Annotated[float | None, typer.Option(help="Stop after so many seconds without a job.")] = None,
) -> None:
    """Train jobs of a server elsewhere: needs its address and a token, and outbound HTTP only."""
    from server.keys import key_at
    from server.work_command import public_key, work_command

    if key is not None:
        typer.echo(f"public key: {public_key(key_at(key))}")
    if server is None and key is None:
        raise InvalidValue("--server names the server to work for.")
    if server is not None:
        work_command(
            server, token, name=name, race=race, key_file=key, cache=cache, most_failures=max_failures,
            idle_exit=idle_exit,
        )  # fmt: skip


@worker.command("enroll")
def worker_enroll(
    name: Annotated[str, typer.Argument(help="What the worker is called wherever its numbers are shown.")],
    public_key: Annotated[str, typer.Option(help="What `igla work --key FILE` prints.")],
    data: DataOption = None,
) -> None:
    """Let the samples that a worker signs count as measured. It needs a token with scope measure, too."""
    from db import workers
    from server.auditing import by_command
    from server.runtime import open_runtime

    runtime = open_runtime(settings_with(data=data))
    with by_command(runtime, "worker enroll", {"worker": name}).transaction() as session:
        made = workers.enroll(session, name, public_key, datetime.now(UTC))
    typer.echo(f"enrolled {made.name} with key {made.key_id}")


@worker.command("list")
def worker_list(data: DataOption = None) -> None:
    """List enrolled workers."""
    from db import workers
    from server.runtime import open_runtime

    with open_runtime(settings_with(data=data)).store.reading() as session:
        found = workers.enrolled(session)
    table = Table("name", "key", "enrolled", "revoked")
    for one in found:
        moments = [f"{at:%Y-%m-%d %H:%M}" if at else "" for at in (one.created_at, one.revoked_at)]
        table.add_row(one.name, one.key_id, *moments)
    Console().print(table)


@worker.command("revoke")
def worker_revoke(name: Annotated[str, typer.Argument(help="Name of the worker.")], data: DataOption = None) -> None:
    """Let a worker's receipts count no more, at once; samples that it measured before stay."""
    from db import workers
    from server.auditing import by_command
    from server.runtime import open_runtime

    with by_command(open_runtime(settings_with(data=data)), "worker revoke", {"worker": name}).transaction() as session:
        workers.revoke(session, name, datetime.now(UTC))
    typer.echo(f"revoked {name}")


@app.command()
def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    grace_hours: Annotated[float, typer.Option(min=0.0, help="Keep what is younger than this.")] = 24.0,
    data: DataOption = None,
) -> None:
    """Remove artifacts that no race, job or sample needs, and uploads that nobody went on with."""
    from server.auditing import by_command
    from server.gc import collect
    from server.runtime import open_runtime

    runtime = open_runtime(settings_with(data=data))
    audited = replace(runtime, store=by_command(runtime, "gc"))
    found = collect(audited, datetime.now(UTC), grace_hours * 3600, dry_run=dry_run)
    for file in found.files:
        typer.echo(f"{file.digest} {file.byte_count}")
    said = "would go" if dry_run else f"removed, and {found.uploads} unfinished uploads"
    typer.echo(f"{len(found.files)} files, {found.byte_count} bytes {said}", err=True)


add_model_commands(app)
add_matrix_commands(app)
add_log(app)
add_tools(app)


def main() -> None:
    """Entry point: what the caller can act on is one line on standard error and exit code 2."""
    try:
        app()
    except Refusal as refusal:
        complain(refusal.code, f"{refusal.message} {refusal.next_step}")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        complain("invalid_value", f"{'.'.join(map(str, first['loc']))}: {first['msg']}.")
    except (OSError, OverflowError) as error:
        complain("system_error", f"{error}. Check the folder, the address and the port.")
    except DatabaseError as error:
        complain("database_error", f"{str(error.orig).strip()}. Check the data folder or DATABASE_URL.")


def complain(code: str, text: str) -> None:
    """One line on standard error, then exit code 2."""
    Console(stderr=True).print(f"{code}: {text}", style="red", highlight=False, markup=False, soft_wrap=True)
    sys.exit(2)


if __name__ == "__main__":
    main()
