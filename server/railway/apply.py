"""Apply: carry out a plan, service by service. One that fails does not stop the others and is reported by its stage."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from errors import Refusal, unknown
from server.railway.client import Railway, RailwayRateLimited, RailwayRefused, RailwayUnauthorized
from server.railway.fleet import Fleet
from server.railway.plan import MARK, Plan, Step

log = structlog.get_logger()


class DeployOff(Refusal):
    """An operator turned deploys off; `igla deploy on` turns them on again."""

    code = "deploy_off"
    status = 409


HOPELESS = (DeployOff, RailwayRateLimited, RailwayUnauthorized)
"""What the services that follow would be told as well: nothing more is sent."""

RESTARTS = {"restartPolicyType": "ON_FAILURE", "restartPolicyMaxRetries": 10, "drainingSeconds": 60}
"""A worker that ended well stays ended; one that is stopped has a minute to give its job back."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """What did not work: at which stage, with which code."""

    service: str
    stage: str
    code: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What was done, in order, and what was not."""

    done: tuple[Step, ...]
    failed: tuple[Failure, ...]


SINGLE = {"restart": "serviceRedeploy", "domain": "serviceDomainCreate"}
"""Changes of one service that no plan makes."""


@dataclass(frozen=True, kw_only=True)
class Teller:
    """Writes one log line for a change: `deploy_planned` before it, `deploy_done` or `deploy_failed` after it."""

    project: str
    hash: str
    at: Callable[[], str]

    def tell(self, word: str, verb: str, name: str, service: str = "", **more: str) -> None:
        """Project, service and hash are shortened, as far as a reader needs them."""
        log.info(
            f"deploy_{word}", verb=verb, name=name, service=service[:8] or "-", project=self.project[:8],
            hash=self.hash[:16], at=self.at(), **more,
        )  # fmt: skip


def carry_out(railway: Railway, plan: Plan, fleet: Fleet, at: Callable[[], str]) -> Outcome:
    """Do every step of a plan that was made of this fleet."""
    teller = Teller(project=fleet.project, hash=plan.hash, at=at)
    done, failed = list[Step](), list[Failure]()
    hopeless: Refusal | None = None
    for name in plan.touched:
        steps = [step for step in plan.steps if step.service == name]
        live = fleet.named(name)
        hopeless = one_service(railway, steps, live.id if live else "", teller, done, failed, hopeless) or hopeless
    return Outcome(done=tuple(done), failed=tuple(failed))


def one_service(
    railway: Railway,
    steps: Sequence[Step],
    service: str,
    teller: Teller,
    done: list[Step],
    failed: list[Failure],
    hopeless: Refusal | None,
) -> Refusal | None:
    """The steps of one service, up to the first that fails. Gives the refusal that the others would get as well."""
    for step in steps:
        try:
            if hopeless is not None:
                raise hopeless
            teller.tell("planned", step.verb, step.service, service)
            service = do(railway, step, service)
        except Refusal as refusal:
            teller.tell("failed", step.verb, step.service, service, code=refusal.code)
            failed.append(Failure(service=step.service, stage=step.verb, code=refusal.code))
            return refusal if isinstance(refusal, HOPELESS) else None
        teller.tell("done", step.verb, step.service, service)
        done.append(step)
    return None


def do(railway: Railway, step: Step, service: str) -> str:
    """One change. Gives the service's id, which it may have only now."""
    account = railway.account
    place = {"service": service, "environment": account.environment}
    if step.verb == "create":
        given = {
            "projectId": account.project,
            "environmentId": account.environment,
            "name": step.service,
            "variables": dict(step.detail["variables"]),
        }
        return str(railway.mutate("serviceCreate", input=given)["id"])
    if step.verb == "set_variables":
        set_variables(railway, service, step.detail)
    elif step.verb == "configure":
        railway.mutate("serviceInstanceUpdate", **place, input={**step.detail, **RESTARTS})
    else:
        assert step.verb == "redeploy", step.verb
        railway.mutate("serviceDeploy", **place)
        set_variables(railway, service, {MARK: step.detail["mark"]})
    return service


def set_variables(railway: Railway, service: str, values: Mapping[str, Any]) -> None:
    """Set these variables and leave the others, without deploying them."""
    account = railway.account
    given = {
        "projectId": account.project,
        "environmentId": account.environment,
        "serviceId": service,
        "variables": dict(values),
        "replace": False,
        "skipDeploys": True,
    }
    railway.mutate("variableCollectionUpsert", input=given)


def remove(railway: Railway, service: str) -> None:
    """Remove a service, which must be one of the account's own project."""
    if railway.query("service", id=service)["projectId"] != railway.account.project:
        raise RailwayRefused(f"The service belongs to another project than account {railway.account.alias}.")
    railway.mutate("serviceDelete", service=service, environment=railway.account.environment)


def tear_down(railway: Railway, names: Sequence[str], fleet: Fleet, digest: str, at: Callable[[], str]) -> Outcome:
    """Remove the services of these names, which were checked."""
    steps = tuple(Step(service=name, verb="teardown", detail={}) for name in dict.fromkeys(names))
    teller = Teller(project=fleet.project, hash=digest, at=at)
    done, failed = list[Step](), list[Failure]()
    for step in steps:
        live = fleet.named(step.service)
        assert live is not None
        teller.tell("planned", "teardown", step.service, live.id)
        try:
            remove(railway, live.id)
        except Refusal as refusal:
            teller.tell("failed", "teardown", step.service, live.id, code=refusal.code)
            failed.append(Failure(service=step.service, stage="teardown", code=refusal.code))
            if isinstance(refusal, HOPELESS):
                break
        else:
            teller.tell("done", "teardown", step.service, live.id)
            done.append(step)
    return Outcome(done=tuple(done), failed=tuple(failed))


def change_one(railway: Railway, verb: str, name: str, fleet: Fleet, at: Callable[[], str]) -> Any:
    """Restart a service, or give it a public domain. Gives what Railway answered."""
    live = fleet.named(name)
    if live is None:
        raise unknown("service", name, [one.name for one in fleet.services])
    place = {"service": live.id, "environment": railway.account.environment}
    named = {"input": {f"{part}Id": value for part, value in place.items()}}
    teller = Teller(project=fleet.project, hash=fleet.digest, at=at)
    teller.tell("planned", verb, name, live.id)
    try:
        answer = railway.mutate(SINGLE[verb], **(named if verb == "domain" else place))
    except Refusal as refusal:
        teller.tell("failed", verb, name, live.id, code=refusal.code)
        raise
    teller.tell("done", verb, name, live.id)
    return answer
