"""`igla deploy`: fleets of workers at Railway. Plan, read the plan, apply it by its hash; the switch that stops all.

`plan`, `apply` and `status` are the tool `deploy` and print the same object; the rest is for operators only.
"""

import asyncio
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from server.railway.deployer import Deployer
from server.runtime import Runtime
from server.settings import Settings
from server.words import words

deploy = typer.Typer(no_args_is_help=True, help="Fleets of workers at Railway: plan, apply, look, stop.")

Account = Annotated[str, typer.Option("--account", help="Alias of the account; there is no default.")]
Template = Annotated[str, typer.Option("--template", help="Name of the template.")]
Seeds = Annotated[str, typer.Option("--seeds", help="Seeds, separated by commas: one worker each.")]
Confirm = Annotated[bool, typer.Option("--confirm", help="Change many services at once.")]
DataOption = Annotated[Path | None, typer.Option("--data", help="Folder of database, artifacts and keys [IGLA_DATA].")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@contextmanager
def opened(data: Path | None) -> Iterator[Runtime]:
    """The runtime, whose log goes to standard error."""
    from server import logs
    from server.runtime import open_runtime

    given: dict[str, Any] = {} if data is None else {"data": data}
    settings = Settings(**given)
    logs.configure("deploy", settings)
    runtime = open_runtime(settings)
    try:
        yield runtime
    finally:
        for deployer in runtime.deployers:
            deployer.close()
        runtime.store.close()


def noted(runtime: Runtime, action: str, account: str = "") -> Deployer:
    """The deployer of a command that changes something: who does it is kept."""
    from server.auditing import by_command

    subject = {"account": account} if account in runtime.settings.accounts else {}
    return runtime.deployer().by(by_command(runtime, f"deploy {action}", subject))


def use(data: Path | None, **arguments: Any) -> dict[str, Any]:
    """The tool `deploy`, as every doorway calls it."""
    from server.toolbox import call, describe
    from tools import tools

    tool = describe("deploy", tools.about("deploy"), tools["deploy"])
    with opened(data) as runtime:
        return asyncio.run(call(tool, runtime.context(), arguments))


def seeds_of(text: str) -> list[int]:
    """Seeds as they are typed."""
    from server.words import from_json

    found: list[int] = from_json(f"[{text}]", "seeds", [])
    return found


@deploy.command("plan")
def deploy_plan(
    account: Account, template: Template, seeds: Seeds, as_json: JsonOption = False, data: DataOption = None
) -> None:
    """Say what would change, and the hash to apply it by. Nothing is changed."""
    found = use(data, action="plan", account=account, template=template, seeds=seeds_of(seeds))
    show(found, "planned", as_json=as_json)


@deploy.command("apply")
def deploy_apply(
    account: Account,
    template: Template,
    seeds: Seeds,
    plan: Annotated[str, typer.Option("--plan", help="Hash of the plan, as `igla deploy plan` gave it.")],
    confirm: Confirm = False,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Carry out a plan; exit code 1 when a service failed."""
    found = use(
        data, action="apply", account=account, template=template, seeds=seeds_of(seeds), plan_hash=plan, confirm=confirm
    )
    show(found, "done", as_json=as_json)
    raise typer.Exit(1 if found["failed"] else 0)


@deploy.command("status")
def deploy_status(
    account: Account,
    template: Annotated[str | None, typer.Option(help="Only the services of this template.")] = None,
    seeds: Annotated[str, typer.Option(help="Only those of these seeds.")] = "",
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Services, how their latest deployment stands, and what they said last."""
    found = use(data, action="status", account=account, template=template, seeds=seeds_of(seeds))
    if as_json:
        typer.echo(json.dumps(found))
        return
    table = Table("service", "status", "last line")
    for one in found["services"]:
        table.add_row(one["name"], one["status"], Text(printable(one["lines"][-1] if one["lines"] else "")))
    Console().print(table)


def show(found: dict[str, Any], word: str, *, as_json: bool) -> None:
    """A plan, or what was done of one: the words differ, so that a reader can tell."""
    if as_json:
        typer.echo(json.dumps(found))
        return
    for step in found["steps"]:
        typer.echo(f"{word}: {step['verb']} {step['service']}{': ' if step['what'] else ''}{step['what']}")
    for step in found["failed"]:
        typer.echo(f"failed: {step['verb']} {step['service']}: {step['code']}")
    for name in found["extra"]:
        typer.echo(f"extra, left alone: {name}")
    typer.echo(f"{found['hash']}")


@deploy.command("teardown")
def deploy_teardown(
    account: Account,
    services: Annotated[str, typer.Option("--services", help="Names, separated by commas; there is no pattern.")] = "",
    confirm: Confirm = False,
    data: DataOption = None,
) -> None:
    """Remove services, each by its name; exit code 1 when one failed."""
    with opened(data) as runtime:
        outcome = noted(runtime, "teardown", account).teardown(account, words(services), confirm=confirm)
    for step in outcome.done:
        typer.echo(f"done: {step.verb} {step.service}")
    for failure in outcome.failed:
        typer.echo(f"failed: {failure.stage} {failure.service}: {failure.code}")
    raise typer.Exit(1 if outcome.failed else 0)


@deploy.command("off")
def deploy_off(data: DataOption = None) -> None:
    """Turn every change off, at once, for all processes of this database."""
    turn(data, off=True)


@deploy.command("on")
def deploy_on(data: DataOption = None) -> None:
    """Turn changes on again. IGLA_DEPLOY_OFF keeps them off where it is set."""
    turn(data, off=False)


def turn(data: Path | None, *, off: bool) -> None:
    """Turn changes off or on."""
    with opened(data) as runtime:
        noted(runtime, "off" if off else "on").turn(off=off, by=os.environ.get("USER", "local"))
        kept = " by igla deploy, and kept off by IGLA_DEPLOY_OFF" if runtime.settings.deploy_off and not off else ""
    typer.echo(f"deploys are {'off' if off else 'on'}{kept}")


def printable(text: str) -> str:
    """Text from outside without characters that a terminal acts on."""
    return "".join(sign if sign.isprintable() else " " for sign in text)
