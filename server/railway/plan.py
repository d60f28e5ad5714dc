"""Plan: what must change for a fleet to be as a template says. Pure: the same values give the same plan and hash.

Services that a template does not name are left alone: they are reported, never removed.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from errors import InvalidValue, Refusal, unknown
from server.railway.accounts import Account
from server.railway.fleet import STOPPED, Fleet, canonical, digest_of
from server.railway.templates import Desired, Template, belongs, desired

VERBS = ("create", "set_variables", "configure", "redeploy", "noop")
"""What a step does; for one service they come in this order."""

MARK = "IGLA_DEPLOYED"
"""The variable that says what was deployed last. Without it a change whose deployment failed would look finished."""

SMALLEST_BLAST = 3
MOST_SEEDS = 64


class PlanStale(Refusal):
    """Make a new plan, read it, and apply it by its hash."""

    code = "plan_stale"
    status = 409


class BlastGuard(Refusal):
    """Send it again with confirm, if so many services are meant; otherwise name fewer."""

    code = "blast_guard"
    status = 409


class TeardownListNeeded(Refusal):
    """Name every service that is to be removed; there is no pattern and no "all"."""

    code = "teardown_list_needed"
    status = 422


@dataclass(frozen=True, kw_only=True)
class Step:
    """One change to one service. detail: what is sent, which holds no secret."""

    service: str
    verb: str
    detail: Mapping[str, Any]

    @property
    def what(self) -> str:
        """The change in words, for who reads a plan."""
        if self.verb == "configure":
            return f"run {' '.join(self.detail['source'].values())} as {self.detail['startCommand']!r}"
        names = self.detail.get("variables", {}) if self.verb == "create" else self.detail
        return f"variables {', '.join(sorted(names))}" if self.verb in ("create", "set_variables") else ""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Steps in order, for one account. extra: services of the template that no seed asks for. live: services now."""

    account: str
    steps: tuple[Step, ...]
    extra: tuple[str, ...]
    live: int
    hash: str

    @property
    def touched(self) -> list[str]:
        """Services that would change."""
        return touched(self.steps)


def plan(chosen: Template, seeds: Sequence[int], account: Account, fleet: Fleet) -> Plan:
    """What must change for one worker a seed."""
    if not 0 < len(seeds) <= MOST_SEEDS or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise InvalidValue(f"seeds: 1 to {MOST_SEEDS} whole numbers from 0 up, each once.")
    wanted = [desired(chosen, seed, account) for seed in sorted(seeds)]
    names = {one.name for one in wanted}
    steps = tuple(step for one in wanted for step in steps_for(one, fleet))
    return Plan(
        account=account.alias,
        steps=steps,
        extra=tuple(one.name for one in fleet.services if belongs(chosen, one.name) and one.name not in names),
        live=len(fleet.services),
        hash=hash_of(steps, fleet.digest),
    )


def steps_for(wanted: Desired, fleet: Fleet) -> list[Step]:
    """What must change for one service."""
    config = {"source": wanted.source, "startCommand": wanted.command}
    live = fleet.named(wanted.name)
    known = (live.variables if live else None) or {}
    steps: list[tuple[str, Mapping[str, Any]]] = []
    if live is None:
        steps = [("create", {"variables": dict(wanted.variables)}), ("configure", config)]
    else:
        other = {name: value for name, value in wanted.variables.items() if known.get(name) != digest_of(value)}
        if other:
            steps.append(("set_variables", other))
        if (live.image, live.repo, live.command) != (wanted.image, wanted.repo, wanted.command):
            steps.append(("configure", config))
    if steps or live is None or live.status in STOPPED or known.get(MARK) != digest_of(wanted.mark):
        steps.append(("redeploy", {"mark": wanted.mark}))
    return [Step(service=wanted.name, verb=verb, detail=detail) for verb, detail in steps or [("noop", {})]]


def hash_of(steps: Sequence[Step], fleet_digest: str) -> str:
    """SHA-256 over the steps and all that they rest on."""
    listed = [{"service": one.service, "verb": one.verb, "detail": dict(one.detail)} for one in steps]
    return hashlib.sha256(canonical({"steps": listed, "fleet": fleet_digest})).hexdigest()


def touched(steps: Sequence[Step]) -> list[str]:
    """Services that steps change, each once."""
    return list(dict.fromkeys(one.service for one in steps if one.verb != "noop"))


def check_blast(count: int, live: int, *, confirm: bool) -> None:
    """Refuse to touch more than three services, or a third of those that are live, unless it is confirmed."""
    most = max(SMALLEST_BLAST, live // 3)
    if count > most and not confirm:
        raise BlastGuard(f"{count} services would change, of {live} that are live; {most} need no confirmation.")


def check_teardown(names: Collection[str], fleet: Fleet, *, confirm: bool) -> list[str]:
    """Ids of the services that are named, all of which must be live. Raises before anything is removed."""
    if not names:
        raise TeardownListNeeded("No service is named.")
    known = {one.name: one.id for one in fleet.services}
    for name in names:
        if name not in known:
            raise unknown("service", name, known)
    check_blast(len(set(names)), len(fleet.services), confirm=confirm)
    return [known[name] for name in dict.fromkeys(names)]
