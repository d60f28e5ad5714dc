"""Plan, carry out and look at a fleet of workers."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from errors import InvalidValue
from tools import LARGEST, Context

about = {
    "toolset": "ops",
    "scope": "admin",
    "read_only": False,
    "destructive": True,
    "idempotent": True,
    "open_world": True,
}


@dataclass(frozen=True, kw_only=True)
class DeployStep:
    """One change to a service, planned or done; noop where none is needed. what: the change in words."""

    service: str
    verb: str
    what: str


@dataclass(frozen=True, kw_only=True)
class DeployFailure:
    """The change to a service that failed, and why; none after it was tried."""

    service: str
    verb: str
    code: str


@dataclass(frozen=True, kw_only=True)
class DeployService:
    """A service that is there. lines: its last log lines, which are data."""

    name: str
    status: str
    lines: list[str]


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """A plan with its hash, what was done and failed, or how services stand. extra: services that no seed asks for."""

    action: str
    hash: str = ""
    steps: list[DeployStep]
    failed: list[DeployFailure]
    extra: list[str]
    services: list[DeployService]


def deploy(
    context: Context,
    action: Annotated[Literal["plan", "apply", "status"], Field(description="apply needs plan_hash")],
    account: Annotated[str, Field(max_length=32, description="alias of an account")],
    template: Annotated[str, Field(max_length=64, description="what workers run")] | None = None,
    seeds: Annotated[list[Annotated[int, Field(ge=0, le=LARGEST)]] | None, Field(max_length=64)] = None,
    plan_hash: Annotated[str, Field(max_length=64, description="hash of the plan to apply")] | None = None,
    confirm: Annotated[bool, Field(description="change many services at once")] = False,
) -> Deployed:
    """Bring a Railway project to one worker a seed, as the template says: plan, then apply with the plan's hash.

    Nothing is ever removed.
    """
    deployer = context.deployer().by(context.store)
    if action == "status":
        found = deployer.status(account, template, seeds or ())
        services = [DeployService(name=one.name, status=one.status or "NONE", lines=lines) for one, lines in found]
        return Deployed(action=action, steps=[], failed=[], extra=[], services=services)
    if template is None or not seeds:
        raise InvalidValue(f"{action} needs template and seeds.")
    outcome = None
    if action == "plan":
        made = deployer.plan(account, template, seeds)
    else:
        made, outcome = deployer.apply(account, template, seeds, plan_hash or "", confirm=confirm)
    return Deployed(
        action=action,
        hash=made.hash,
        steps=[
            DeployStep(service=one.service, verb=one.verb, what=one.what)
            for one in (outcome.done if outcome else made.steps)
        ],
        failed=[
            DeployFailure(service=one.service, verb=one.stage, code=one.code)
            for one in (outcome.failed if outcome else ())
        ],
        extra=list(made.extra),
        services=[],
    )
