"""Deployer: what the tool and the command line call. Reads a fleet, makes the plan anew, checks, and carries it out."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from db import deploys
from db.redaction import redactor
from db.store import Store
from errors import Refusal, unknown
from server.railway.accounts import Account, named
from server.railway.apply import DeployOff, Outcome, carry_out, change_one, tear_down
from server.railway.audit import Audit, audit
from server.railway.client import GAP, Railway
from server.railway.fleet import Fleet, Service, canonical, check_scope, digest_of, read_fleet
from server.railway.plan import Plan, PlanStale, check_blast, check_teardown, plan
from server.railway.templates import belongs, is_ours, service_name, template, templates

BUSY_SECONDS = 900.0
"""An account is held for one plan at most so long; whoever died with one frees it after that."""

LOG_LINES = 5
LONGEST_LINE = 300


@dataclass(frozen=True, kw_only=True)
class Deployer:
    """Deploys of one process: one connection an account, kept. off: the setting that keeps them off whatever else.

    noted: the store as a call or a command sees it, whose row is left when something is about to change.
    """

    known: dict[str, Account]
    store: Store
    clock: Callable[[], datetime]
    off: bool
    url: str
    gap: float = GAP
    connections: dict[str, Railway] = field(default_factory=dict)
    noted: Store | None = None

    def by(self, noted: Store) -> "Deployer":
        """The same, for one call or command."""
        return replace(self, noted=noted)

    def note(self) -> None:
        """Leave the row of who changes something: what is done elsewhere is never rolled back, so it is told before."""
        with (self.noted or self.store).transaction():
            pass

    def allowed(self) -> None:
        """Raise DeployOff unless changes are on; asked before every single one."""
        if self.off:
            raise DeployOff("IGLA_DEPLOY_OFF is set.")
        with self.store.reading() as session:
            switched = deploys.switched_off(session)
        if switched is not None:
            raise DeployOff(f"They are off since {switched.since:%Y-%m-%d %H:%M} UTC.")

    def railway(self, alias: str) -> Railway:
        """The connection for an account."""
        account = named(self.known, alias)
        if alias not in self.connections:
            made = Railway(account, self.allowed, url=self.url, gap=self.gap)
            try:
                check_scope(made)
            except Refusal:
                made.close()
                raise
            self.connections[alias] = made
        return self.connections[alias]

    def plan(self, alias: str, template_name: str, seeds: Sequence[int]) -> Plan:
        """What would be done."""
        return self.planned(alias, template_name, seeds)[0]

    def planned(self, alias: str, template_name: str, seeds: Sequence[int]) -> tuple[Plan, Fleet]:
        """The plan, and the fleet that it rests on."""
        railway, chosen = self.railway(alias), template(template_name)
        fleet = read_fleet(railway, {service_name(chosen, seed) for seed in seeds})
        return plan(chosen, seeds, railway.account, fleet), fleet

    def apply(
        self, alias: str, template_name: str, seeds: Sequence[int], given_hash: str, *, confirm: bool
    ) -> tuple[Plan, Outcome]:
        """Carry out the plan of that hash, if the fleet is still as it was."""
        railway = self.railway(alias)
        self.allowed()
        with self.held(alias):
            made, fleet = self.planned(alias, template_name, seeds)
            if made.hash != given_hash:
                raise PlanStale(f"The plan has the hash {made.hash[:16]}... now.")
            check_blast(len(made.touched), made.live, confirm=confirm)
            if made.touched:
                self.note()
            return made, carry_out(railway, made, fleet, self.stamp)

    def teardown(self, alias: str, names: Sequence[str], *, confirm: bool) -> Outcome:
        """Remove the services of these names."""
        railway = self.railway(alias)
        self.allowed()
        with self.held(alias):
            fleet = read_fleet(railway)
            ids = check_teardown(names, fleet, confirm=confirm)
            self.note()
            return tear_down(railway, names, fleet, digest_of(canonical(ids).decode()), self.stamp)

    @contextmanager
    def held(self, alias: str) -> Iterator[None]:
        """Nobody else changes the account meanwhile."""
        with self.store.transaction() as session:
            handle = deploys.begin(session, alias, self.clock(), BUSY_SECONDS)
        try:
            yield
        finally:
            with self.store.transaction() as session:
                deploys.end(session, alias, handle)

    def stamp(self) -> str:
        """The moment, as log lines have it."""
        return self.clock().isoformat(timespec="seconds")

    def status(self, alias: str, template_name: str | None, seeds: Sequence[int]) -> list[tuple[Service, list[str]]]:
        """Services, of a template if one is named, with what they said last."""
        railway = self.railway(alias)
        fleet = read_fleet(railway)
        chosen = None if template_name is None else template(template_name)
        wanted = {service_name(chosen, seed) for seed in seeds} if chosen else set()
        found = [
            one
            for one in fleet.services
            if chosen is None or one.name in wanted or (not seeds and belongs(chosen, one.name))
        ]
        return [(one, self.lines(railway, one, LOG_LINES)) for one in found]

    def lines(self, railway: Railway, service: Service, most: int, *, build: bool = False) -> list[str]:
        """The last log lines of a service's latest deployment: data from outside, cut and without secrets."""
        if not service.deployment:
            return []
        found = railway.query("buildLogs" if build else "deploymentLogs", id=service.deployment, limit=most)
        redact = redactor([railway.account.token.get_secret_value()])
        return [redact(str(one["message"]))[:LONGEST_LINE] for one in found[-most:]]

    def logs(self, alias: str, service: str, most: int, *, build: bool) -> list[str]:
        """The last log lines of one service."""
        railway, found = self.live(alias, service)
        return self.lines(railway, found, most, build=build)

    def live(self, alias: str, service: str) -> tuple[Railway, Service]:
        """A service by name, and the connection to it."""
        railway = self.railway(alias)
        fleet = read_fleet(railway)
        found = fleet.named(service)
        if found is None:
            raise unknown("service", service, [one.name for one in fleet.services])
        return railway, found

    def snapshot(self, alias: str) -> dict[str, Any]:
        """The whole fleet for a file: no person, no secret."""
        return {"generated_at": self.stamp(), **read_fleet(self.railway(alias), None).as_json()}

    def audit(self, alias: str, *, target: float, needed: int) -> Audit:
        """The fleet held to what our database knows."""
        railway = self.railway(alias)
        fleet = read_fleet(railway)
        ours = [one for one in fleet.services if is_ours(one.name)]
        said = {one.name: self.lines(railway, one, 50) for one in ours}
        with self.store.reading() as session:
            names = {name for one in templates().values() for name in deploys.workers_like(session, f"{one.name}-rng")}
            rows = deploys.work_of(session, sorted(names))
        return audit(fleet, said, rows, railway.account, is_ours, self.clock(), target=target, needed=needed)

    def history(self, alias: str, service: str, most: int) -> list[dict[str, str]]:
        """The latest deployments of a service, newest first."""
        railway, found = self.live(alias, service)
        place = {"environmentId": railway.account.environment, "projectId": railway.account.project}
        page = railway.query("deployments", input={**place, "serviceId": found.id}, first=most)
        return [{name: edge["node"][name] for name in ("id", "status", "createdAt")} for edge in page["edges"]]

    def change(self, alias: str, verb: str, service: str) -> Any:
        """Restart one service, or give it a public domain."""
        railway = self.railway(alias)
        self.allowed()
        with self.held(alias):
            fleet = read_fleet(railway)
            if fleet.named(service):
                self.note()
            return change_one(railway, verb, service, fleet, self.stamp)

    def turn(self, *, off: bool, by: str) -> None:
        """Turn all changes off, or on again; every process of this database heeds it at its next change."""
        with (self.noted or self.store).transaction() as session:
            deploys.turn(session, off=off, by=by, now=self.clock())

    def close(self) -> None:
        """End the connections."""
        for railway in self.connections.values():
            railway.close()
