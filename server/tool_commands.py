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
        data, as_json, token = options.pop("data"), options.pop("json_"), options.pop("token")
        server = server_of(ctx, options.pop("server"), data)
        arguments = gathered(tool, options, ctx.args)
        result = elsewhere(tool, server, token, arguments) if server else here(tool, data, arguments)
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
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=option)
        for name, (kind, option) in shared_options().items()
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


def shared_options() -> dict[str, tuple[Any, Any]]:
    """What every tool's command takes besides the tool's arguments: name -> type and option."""
    told = "Call this server in place of the local database."
    secret = "Token for the server; best by IGLA_TOKEN: command lines can be read by others."
    return {
        "json_": (bool, typer.Option(False, "--json", help="Print the result as one JSON object.")),
        "data": (Path | None, typer.Option(None, "--data", help="Folder of the database [IGLA_DATA].")),
        "server": (str | None, typer.Option(None, "--server", envvar="IGLA_SERVER", help=told)),
        "token": (str | None, typer.Option(None, "--token", envvar="IGLA_TOKEN", help=secret)),
    }


def server_of(ctx: typer.Context, server: str | None, data: Path | None) -> str | None:
    """The server to call, if any. A data folder on the command line speaks of this machine; with both there is none."""
    if data is None or not server:
        return server or None
    source = ctx.get_parameter_source("server")
    if source is not None and source.name == "COMMANDLINE":
        raise InvalidValue("Give --server or --data, not both.")
    return None


def here(tool: Tool, data: Path | None, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The tool on this machine's database."""
    given: dict[str, Any] = {"data": data} if data else {}
    runtime = open_runtime(Settings(**given))
    with engines_for(tool, runtime):
        result = asyncio.run(call(tool, runtime.context(), arguments))
    runtime.store.meters.flush(runtime.store)
    return result


def elsewhere(tool: Tool, server: str, token: str | None, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The tool on a server. It checks the arguments, so that refusals are the same."""
    from server.client import Client
    from server.client_retries import Policy

    shape = tool.input_schema["properties"].get("wait_seconds")
    wait = float(arguments.get("wait_seconds", shape["default"])) if shape else 0.0
    with Client.at(server, token, Policy(patience=5.0)) as client:
        return client.call(tool.name, arguments, idempotent=tool.about["idempotent"], wait=wait)


def shape_type(shape: Mapping[str, Any]) -> str:
    """The JSON type of an argument, looking through "or null"."""
    options = [shape, *shape.get("anyOf", [])]
    return next((str(option["type"]) for option in options if option.get("type", "null") != "null"), "object")


def gathered(tool: Tool, options: Mapping[str, Any], positional: list[str]) -> dict[str, Any]:
    """The tool's arguments from options and, for required ones that are missing, from positions."""
    given = {name: value for name, value in options.items() if value is not None}
    waiting = [name for name in tool.input_schema.get("required", []) if name not in given]
    if len(positional) > len(waiting):
        order = f" ({' '.join(waiting)})" if waiting else ""
        raise InvalidValue(f"{tool.name} takes at most {len(waiting)} values by position{order}; name the others.")
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
    return (
        nullcontext()
        if alive
        else Engines(runtime.settings, int(kind == "engine"), arenas=int(kind == "arena"), store=runtime.store)
    )


def show(tool: Tool, result: dict[str, Any], as_json: bool) -> None:
    """Print a result: one line of JSON for programs, a table or indented JSON for people."""
    if as_json:
        typer.echo(json.dumps(result, separators=(",", ":"), ensure_ascii=False))
    elif tool.name == "leaderboard":
        Console().print(board_table(result["race"], result["rows"]))
    else:
        Console().print_json(data=result)
