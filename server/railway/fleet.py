"""Fleet: what runs in one project and environment, read in pages. Values of variables are kept as digests only."""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from server.railway.client import Railway, RailwayRefused, RailwayUnauthorized
from server.railway.operations import SERVICE_PAGE

STOPPED = frozenset({"CRASHED", "FAILED", "REMOVED", "SKIPPED", "REMOVING", ""})
"""States of a latest deployment with which a service does not run and will not; empty: it never had one."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """One service. variables: name -> SHA-256 of the value, or None where they were not read."""

    id: str
    name: str
    image: str
    repo: str
    command: str
    status: str
    deployment: str
    deployed_at: str
    variables: Mapping[str, str] | None = field(default=None, repr=False)

    @property
    def facts(self) -> list[Any]:
        """What a plan rests on."""
        return [
            self.id, self.name, self.image, self.repo, self.command, self.status in STOPPED,
            None if self.variables is None else sorted(self.variables.items()),
        ]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """All services of an account's environment, by name."""

    account: str
    project: str
    project_name: str
    environment: str
    services: tuple[Service, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of all that a plan rests on."""
        facts = [self.account, self.project, self.environment, [one.facts for one in self.services]]
        return hashlib.sha256(canonical(facts)).hexdigest()

    def named(self, name: str) -> Service | None:
        """The service of that name."""
        return next((one for one in self.services if one.name == name), None)

    def as_json(self) -> dict[str, Any]:
        """For a file that others may read: no person, no token, of variables the names only."""
        services = [
            {
                **{name: getattr(one, name) for name in ("id", "name", "image", "repo", "command", "status")},
                "deployed_at": one.deployed_at,
                "variables": sorted(one.variables or ()),
            }
            for one in self.services
        ]
        running = sum(one.status not in STOPPED for one in self.services)
        return {
            "account": self.account,
            "project": self.project,
            "project_name": self.project_name,
            "environment": self.environment,
            "services": services,
            "totals": {"services": len(services), "running": running},
        }


def canonical(value: Any) -> bytes:
    """JSON as one text: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def digest_of(value: str) -> str:
    """What stands for the value of a variable."""
    return hashlib.sha256(value.encode()).hexdigest()


def read_fleet(railway: Railway, with_variables_of: Collection[str] | None = ()) -> Fleet:
    """All services, and the variables of those that are named; None: of all."""
    account = railway.account
    name = railway.query("project", id=account.project, first=1, after=None)["name"]
    services = [service_of(node) for node in instances(railway)]
    chosen = {one.name for one in services} if with_variables_of is None else set(with_variables_of)
    read = [
        one if one.name not in chosen else Service(**{**vars(one), "variables": variables_of(railway, one.id)})
        for one in services
    ]
    return Fleet(
        account=account.alias,
        project=account.project,
        project_name=name,
        environment=account.environment,
        services=tuple(sorted(read, key=lambda one: (one.name, one.id))),
    )


def instances(railway: Railway) -> list[Mapping[str, Any]]:
    """Every service of the environment, over as many pages as there are."""
    account, found, after = railway.account, list[Mapping[str, Any]](), None
    while True:
        place = railway.query(
            "environment", id=account.environment, project=account.project, first=SERVICE_PAGE, after=after
        )
        if place["projectId"] != account.project:
            raise RailwayRefused(f"The environment of account {account.alias} belongs to another project.")
        page = place["serviceInstances"]
        found.extend(edge["node"] for edge in page["edges"])
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = page["pageInfo"]["endCursor"]


def service_of(node: Mapping[str, Any]) -> Service:
    """A service from Railway's answer."""
    source, latest = node["source"] or {}, node["latestDeployment"] or {}
    return Service(
        id=node["serviceId"],
        name=node["serviceName"],
        image=source.get("image") or "",
        repo=source.get("repo") or "",
        command=node["startCommand"] or "",
        status=latest.get("status", ""),
        deployment=latest.get("id", ""),
        deployed_at=latest.get("createdAt", ""),
    )


def variables_of(railway: Railway, service: str) -> dict[str, str]:
    """Names of a service's variables, each with the digest of its value before references are put in."""
    account = railway.account
    found = railway.query("variables", project=account.project, environment=account.environment, service=service)
    return {name: digest_of(str(value)) for name, value in found.items()}


def check_scope(railway: Railway) -> None:
    """Refuse a project's token that is another project's or environment's than the account says."""
    account = railway.account
    if account.kind == "project":
        found = railway.query("tokenScope")
        if (found["projectId"], found["environmentId"]) != (account.project, account.environment):
            raise RailwayUnauthorized(f"The token of account {account.alias} is another project's.")
