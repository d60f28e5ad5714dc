"""Every tool as a subcommand, made from its contract."""

import asyncio
import inspect
import json
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from db import workers
from errors import InvalidValue
from server.board import board_table
from server.runtime import Runtime, open_runtime
from server.settings import Settings
from server.supervisor import Engines
from server.toolbox import Tool, call, toolbox

PLAIN = {"string": str, "integer": int, "number": float, "boolean": bool}


def add_tools(app: typer.Typer) -> None:
    """Add a command for each tool of the folder that has no group of commands of its own."""
    groups = {group.name for group in app.registered_groups}
    for tool in [tool for tool in toolbox().values() if tool.name not in groups]:
        settings = {"allow_extra_args": True}
        app.command(
            tool.name, help=help_of(tool), rich_help_panel="Tools, as agents have them", context_settings=settings
        )(command(tool))


def help_of(tool: Tool) -> str:
    """The tool's description, and how to give its arguments."""
    required = tool.input_schema.get("required", [])
    order = f"\n\nBy position: {' '.join(name.upper() for name in required)}." if required else ""
    return tool.description.replace("\n", "\n\n", 1) + order


def command(tool: Tool) -> Callable[..., None]:
    """A function with one option for each argument of the tool; arguments that are no plain value are JSON."""

    def run(ctx: typer.Context, **options: Any) -> None:
        data, as_json = options.pop("data"), options.pop("json_")
        arguments = gathered(tool, options, ctx.args)
        runtime = open_runtime(Settings(**({"data": data} if data else {})))
        with engines_for(tool, runtime):
            result = asyncio.run(call(tool, runtime.context(), arguments))
        show(tool, result, as_json)

    parameters = [inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)]
    for name, shape in tool.input_schema["properties"].items():
        kind = PLAIN.get(shape_type(shape), str)
        described = shape.get("description", "") + ("" if shape_type(shape) in PLAIN else " (JSON)")
        names = [f"--{name}", f"--{name.replace('_', '-')}"] if "_" in name else [f"--{name}"]
        if kind is bool:
            names = [f"--{name.replace('_', '-')}/--no-{name.replace('_', '-')}"]
        option = typer.Option(None, *names, help=described, show_default=False)
        parameters.append(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=option, annotation=kind | None)
        )
    parameters += [
        inspect.Parameter(
            "json_",
            inspect.Parameter.KEYWORD_ONLY,
            annotation=bool,
            default=typer.Option(False, "--json", help="Print the result as one JSON object."),
        ),
        inspect.Parameter(
            "data",
            inspect.Parameter.KEYWORD_ONLY,
            annotation=Path | None,
            default=typer.Option(None, "--data", help="Folder of the database [IGLA_DATA]."),
        ),
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


def shape_type(shape: Mapping[str, Any]) -> str:
    """The JSON type of an argument, looking through "or null"."""
    options = [shape, *shape.get("anyOf", [])]
    return next((str(option["type"]) for option in options if option.get("type", "null") != "null"), "object")


def gathered(tool: Tool, options: Mapping[str, Any], positional: list[str]) -> dict[str, Any]:
    """The tool's arguments from options and, for required ones that are missing, from positions."""
    given = {name: value for name, value in options.items() if value is not None}
    waiting = [name for name in tool.input_schema.get("required", []) if name not in given]
    if len(positional) > len(waiting):
        raise InvalidValue(f"{tool.name} takes at most {len(waiting)} values by position.")
    given.update(zip(waiting, positional, strict=False))
    shapes = tool.input_schema["properties"]
    return {name: parsed(name, shape_type(shapes[name]), value) for name, value in given.items()}


def parsed(name: str, kind: str, value: Any) -> Any:
    """A command-line value as its JSON type."""
    if not isinstance(value, str) or kind == "string":
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise InvalidValue(f"{name} must be JSON ({kind}).") from None


def engines_for(tool: Tool, runtime: Runtime) -> Any:
    """The engine or arena process that a tool needs, unless one already lives."""
    kind = next((kind for kind in ("engine", "arena") if tool.about.get(kind)), None)
    if kind is None or (kind == "arena" and runtime.no_arena() is not None):
        return nullcontext()
    with runtime.store.reading() as session:
        alive = workers.alive(session, kind, runtime.context().now, 15.0)
    return nullcontext() if alive else Engines(runtime.settings, int(kind == "engine"), arenas=int(kind == "arena"))


def show(tool: Tool, result: dict[str, Any], as_json: bool) -> None:
    """Print a result: one line of JSON for programs, a table or indented JSON for people."""
    if as_json:
        typer.echo(json.dumps(result, separators=(",", ":"), ensure_ascii=False))
    elif tool.name == "leaderboard":
        Console().print(board_table(result["race"], result["rows"]))
    else:
        Console().print_json(data=result)
