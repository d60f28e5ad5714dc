"""`igla deploy` for operators: what services say, the fleet as a file, the audit, and changes of one service."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from server.deploy_commands import Account, DataOption, JsonOption, noted, opened, printable
from server.railway.published import deploy_published, workflow_state

Service = Annotated[str, typer.Argument(help="Name of the service.")]


def add_looking(deploy: typer.Typer) -> None:
    """Add the commands to the group."""
    for name, command in COMMANDS.items():
        deploy.command(name)(command)


def deploy_logs(
    service: Service,
    account: Account,
    build: Annotated[bool, typer.Option("--build", help="Of the build, not of the run.")] = False,
    lines: Annotated[int, typer.Option(min=1, max=1000, help="Lines at most.")] = 100,
    data: DataOption = None,
) -> None:
    """What a service said last."""
    with opened(data) as runtime:
        for line in runtime.deployer().logs(account, service, lines, build=build):
            typer.echo(printable(line))


def deploy_snapshot(
    account: Account,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File; default: standard output.")] = None,
    data: DataOption = None,
) -> None:
    """The whole fleet as JSON, fit to be kept: no person, no secret, of variables the names only."""
    with opened(data) as runtime:
        text = json.dumps(runtime.deployer().snapshot(account), indent=2, sort_keys=True)
    if output is None:
        typer.echo(text)
    else:
        output.write_text(text + "\n", encoding="utf-8")


def deploy_audit(
    account: Account,
    target: Annotated[float, typer.Option(help="Bits per byte that a service's measured value must be below.")] = 1.85,
    needed: Annotated[int, typer.Option(min=1, help="Services below the target that make Gate2Pass.")] = 3,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Hold the fleet to the database: exit code 1 for Drift, 0 for Gate2Pass, 2 for NotYet."""
    with opened(data) as runtime:
        found = runtime.deployer().audit(account, target=target, needed=needed)
    if as_json:
        typer.echo(json.dumps(asdict(found)))
    else:
        for one in found.findings:
            numbers = f" {one.seen} instead of {one.expected}" if one.expected is not None else ""
            typer.echo(f"{one.severity} {one.code} {one.service}{numbers}")
        typer.echo(f"{found.verdict}: {len(found.below_target)} of {needed} below {target}")
    raise typer.Exit(found.exit_code)


def deploy_template(
    code: Annotated[str, typer.Argument(help="Code of a published template of Railway's.")],
    account: Account,
    data: DataOption = None,
) -> None:
    """Deploy a published template into the account's project; prints what `igla deploy workflow` follows."""
    with opened(data) as runtime:
        deployer = noted(runtime, "template", account)
        railway = deployer.railway(account)
        deployer.allowed()
        with deployer.held(account):
            deployer.note()
            typer.echo(deploy_published(railway, code))


def deploy_workflow(
    workflow: Annotated[str, typer.Argument(help="What `igla deploy template` printed.")],
    account: Account,
    data: DataOption = None,
) -> None:
    """How far the deploy of a published template is."""
    with opened(data) as runtime:
        typer.echo(workflow_state(runtime.deployer().railway(account), workflow))


def deploy_history(service: Service, account: Account, data: DataOption = None) -> None:
    """The latest deployments of a service, newest first."""
    with opened(data) as runtime:
        for one in runtime.deployer().history(account, service, 20):
            typer.echo(f"{one['createdAt']}  {one['status']}  {one['id']}")


def deploy_restart(service: Service, account: Account, data: DataOption = None) -> None:
    """Deploy what a service runs once more, unchanged."""
    with opened(data) as runtime:
        noted(runtime, "restart", account).change(account, "restart", service)
    typer.echo(f"done: restart {service}")


def deploy_domain(service: Service, account: Account, data: DataOption = None) -> None:
    """Give a service a public domain."""
    with opened(data) as runtime:
        found = noted(runtime, "domain", account).change(account, "domain", service)
    typer.echo(printable(found["domain"]))


COMMANDS: dict[str, Callable[..., None]] = {
    "logs": deploy_logs,
    "history": deploy_history,
    "snapshot": deploy_snapshot,
    "audit": deploy_audit,
    "restart": deploy_restart,
    "domain": deploy_domain,
    "template": deploy_template,
    "workflow": deploy_workflow,
}
