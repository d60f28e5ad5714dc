"""Commands about number formats: `igla plan matrix` queues formats x optimizers, `igla matrix` shows the results."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from server.settings import Settings

PANEL = "Number formats"

PLAN = """
Queue number formats x optimizers as one race: every format with every optimizer and every seed, each for the whole
budget.

fp32 is always among the formats. A scalar format of 12 bits or fewer is queued twice, unscaled and scaled by a power of
two. `igla race --matrix` queues and runs the same at once.

[bold]Example[/bold]

igla plan matrix --formats fp8_e4m3,bf16 --optimizers adamw,muon --race formats --budget 600kB --dry-run
"""

SHOW = """
Show a race as formats x optimizers: measured bits per byte, share of values that rounding changed, distance of a
format's layout from the golden ratio.

A format that changed no value is shown as identity, a recipe that was lost with its reason, and one that nobody queued
as a hole.
"""

FormatsOption = Annotated[str, typer.Option(help="Number formats, separated by commas, or the name tour.")]
OptimizersOption = Annotated[str, typer.Option(help="Optimizers, separated by commas.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
DataOption = Annotated[Path | None, typer.Option("--data", help="Folder of database, artifacts and keys [IGLA_DATA].")]

plan = typer.Typer(no_args_is_help=True, help="Queue many recipes at once.")


def add_matrix_commands(app: typer.Typer) -> None:
    """Add both commands."""
    plan.command("matrix", help=PLAN)(plan_matrix)
    app.add_typer(plan, name="plan", rich_help_panel=PANEL)
    app.command("matrix", help=SHOW, rich_help_panel=PANEL)(show_matrix)


def plan_matrix(
    formats: FormatsOption,
    optimizers: OptimizersOption = "adamw,muon",
    race: Annotated[str, typer.Option(help="Name of the race; a new one is created.")] = "formats",
    place: Annotated[str, typer.Option(help="What is rounded: weights, activations or gradients.")] = "weights",
    base: Annotated[str, typer.Option(help="JSON: recipe fields that all cells share.")] = "",
    budget: Annotated[str, typer.Option(help="Text that each run trains on, such as 600kB.")] = "",
    seeds: Annotated[str, typer.Option(help="Seeds of a new race, separated by commas.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be queued.")] = False,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Queue a matrix."""
    from server.race import plan_json

    arguments = {"plan": plan_json(matrix_plan(formats, optimizers, place, base, budget, seeds)), "race": race}
    planned = called("plan_race", data, **arguments, dry_run=dry_run)
    if as_json:
        Console().print_json(data=planned)
        return
    for name, steps in {job["name"]: job["total_steps"] for job in planned["jobs"]}.items():
        typer.echo(f"{name}: {steps} steps")
    verb = "would be queued" if dry_run else "queued"
    typer.echo(f"{planned['recipes']} recipes x {len(planned['seeds'])} seeds {verb} in race {planned['race']}")


def matrix_plan(formats: str, optimizers: str, place: str, base: str, budget: str, seeds: str) -> Any:
    """The plan of a matrix, from words of the command line. Raises InvalidValue."""
    from errors import InvalidValue
    from server.budget import parse
    from server.words import from_json, words
    from training.grids import MATRICES
    from training.matrix_plan import MatrixPlan
    from training.plan import Plan

    kind, amount = parse(budget) if budget else ("bytes", 0.0)
    if kind != "bytes":
        raise InvalidValue("--budget of a plan is an amount of text such as 600kB: it is not known who will train it.")
    return Plan(
        base=from_json(base, "base", {}),
        matrix=MatrixPlan(formats=MATRICES.get(formats, words(formats)), optimizers=words(optimizers), place=place),
        whole=True,
        budget_bytes=int(amount) or None,
        seeds=from_json(f"[{seeds}]", "seeds", []) if seeds else None,
    )


def show_matrix(
    race: Annotated[str, typer.Argument(help="The race.")], as_json: JsonOption = False, data: DataOption = None
) -> None:
    """Show a matrix."""
    from server.board import matrix_table

    table = called("leaderboard", data, race=race, by="format,optimizer")["matrix"]
    if as_json:
        Console().print_json(data=table)
    else:
        Console().print(matrix_table(race, table))


def called(tool: str, data: Path | None, **arguments: Any) -> dict[str, Any]:
    """A tool's result."""
    from server.runtime import open_runtime
    from server.toolbox import call, toolbox

    given: dict[str, Any] = {"data": data} if data else {}
    runtime = open_runtime(Settings(**given))
    return asyncio.run(call(toolbox()[tool], runtime.context(), arguments))
