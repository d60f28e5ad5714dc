"""Templates: what a fleet of workers is, as files of data in `templates/`. The file's name is the template's name.

A template holds no secret: a variable that is one refers to Railway's own store (`${{shared.IGLA_WORK_TOKEN}}`).
"""

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from errors import Refusal, unknown
from server.railway.accounts import Account

FOLDER = Path(__file__).parent / "templates"
SECRET = re.compile(r"TOKEN|SECRET|PASSWORD|KEY|CREDENTIAL|_URL$", re.IGNORECASE)
REFERENCE = re.compile(r"\$\{\{[^{}]+\}\}")


class DeploySourceMissing(Refusal):
    """Give the account an `image` or a `repo` in IGLA_RAILWAY_ACCOUNTS; workers run what it names."""

    code = "deploy_source_missing"
    status = 409


class Template(BaseModel):
    """One worker for each seed. race, recipe, budget_bytes: what they are meant to train; igla queues it, not this."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    title: str
    race: str = ""
    budget_bytes: int | None = None
    recipe: dict[str, bool | int | float | str] = Field(default_factory=dict)
    command: str
    variables: dict[str, str]

    @field_validator("variables")
    @classmethod
    def no_secret(cls, value: dict[str, str]) -> dict[str, str]:
        """What is called like a secret is a reference to one."""
        for name, text in value.items():
            assert not SECRET.search(name) or REFERENCE.fullmatch(text), f"{name} must be a ${{{{reference}}}}"
        return value


@dataclass(frozen=True, kw_only=True)
class Desired:
    """One service as it should be."""

    name: str
    image: str
    repo: str
    command: str
    variables: Mapping[str, str]

    @property
    def source(self) -> dict[str, str]:
        """What it runs, as Railway takes it."""
        return {"image": self.image} if self.image else {"repo": self.repo}

    @property
    def mark(self) -> str:
        """What the service is marked with once this is deployed: a digest of all of it."""
        text = json.dumps([self.source, self.command, self.variables], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@lru_cache(1)
def templates() -> dict[str, Template]:
    """Every template by name. A file that cannot be read stops the program."""
    return {
        file.stem: read(file.stem, tomllib.loads(file.read_text("utf-8"))) for file in sorted(FOLDER.glob("*.toml"))
    }


def read(name: str, fields: Mapping[str, Any]) -> Template:
    """One template, checked."""
    return Template.model_validate({**fields, "name": name})


def template(name: str) -> Template:
    """A template by name. An unknown one is refused with the nearest known one."""
    if name not in templates():
        raise unknown("template", name, templates())
    return templates()[name]


def service_name(chosen: Template, seed: int) -> str:
    """The name of the service for a seed."""
    return f"{chosen.name}-rng{seed}"


def belongs(chosen: Template, name: str) -> bool:
    """Whether a service's name is one that this template gives."""
    return re.fullmatch(re.escape(chosen.name) + r"-rng\d+", name) is not None


def desired(chosen: Template, seed: int, account: Account) -> Desired:
    """The service of a seed."""
    if bool(account.image) == bool(account.repo):
        raise DeploySourceMissing(f"Account {account.alias} names {'both' if account.image else 'neither'} of them.")
    name = service_name(chosen, seed)
    command = chosen.command.replace("{service}", name).replace("{race}", chosen.race)
    return Desired(name=name, image=account.image, repo=account.repo, command=command, variables=dict(chosen.variables))


def is_ours(name: str) -> bool:
    """Whether a service's name is one that a template gives."""
    return any(belongs(one, name) for one in templates().values())
