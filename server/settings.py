"""Settings: the environment, read once. Names begin with `IGLA_`; platforms' `DATABASE_URL` and `PORT` count too."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from errors import InvalidValue
from server.access_settings import LOOPBACK, AccessSettings
from server.railway.accounts import Account, accounts

PLATFORM_HOSTS = {
    "RAILWAY_PUBLIC_DOMAIN": "{}",
    "RAILWAY_PRIVATE_DOMAIN": "{}",
    "RENDER_EXTERNAL_HOSTNAME": "{}",
    "FLY_APP_NAME": "{}.fly.dev",
    "HEROKU_APP_DEFAULT_DOMAIN_NAME": "{}",
}
"""What platforms say of the names that they gave a server."""


def platform_hosts(environment: Mapping[str, str]) -> list[str]:
    """Host names that the platform gave this server."""
    return [form.format(environment[name]) for name, form in PLATFORM_HOSTS.items() if environment.get(name)]


class Settings(AccessSettings):
    """What an operator may set. Command-line options of the same name win."""

    model_config = SettingsConfigDict(env_prefix="IGLA_", frozen=True, populate_by_name=True, extra="ignore")

    data: Path = Field(Path("igla-data"), description="folder of the database, artifacts and keys")
    database_url: str = Field(
        "", validation_alias=AliasChoices("IGLA_DATABASE_URL", "DATABASE_URL"), description="empty: SQLite in `data`"
    )
    host: str = Field("127.0.0.1", description="address to listen on; any but loopback needs a token")
    port: int = Field(8000, ge=0, le=65535, validation_alias=AliasChoices("IGLA_PORT", "PORT"))
    admin_token: SecretStr | None = Field(None, description="a token with every scope, beside those in the database")
    allowed_hosts: str = Field("", description="more Host names that are answered, separated by commas")
    engines: int | None = Field(None, ge=0, le=256, description="engine processes; default: one a core")

    scorers: int | None = Field(None, ge=0, le=64, description="scorer processes; default: one where engines run")
    arenas: int | None = Field(
        None, ge=0, le=64, description="arena processes; default: one where engines run and the system can sandbox"
    )
    arena_python: str = Field("", description="interpreter that runs entries; empty: the one that runs igla")
    artifacts: str = Field("", description="s3://bucket/prefix of the artifacts; empty: a folder in `data`")
    artifact_limit: int = Field(2**30, ge=1, description="bytes that an uploaded file may have")
    artifact_quota: int = Field(10 * 2**30, ge=0, description="bytes that are held for one principal; admins have none")

    toolsets: str = Field("race,arena,market,ops", description="groups of tools that are offered, separated by commas")
    read_only: bool = Field(False, description="offer only the tools that change nothing")

    public_board: bool = Field(False, description="anybody may look at races, runs, the arena and the glossary")

    grace_seconds: float = Field(
        25.0, ge=0, le=3600, description="seconds that work under way has to finish after SIGTERM"
    )
    metrics_token: SecretStr | None = Field(None, description="a token that opens /metrics and nothing else")
    otel: bool = Field(False, description="trace with OpenTelemetry; OTEL_* say where to")
    log_format: Literal["auto", "json", "console"] = Field("auto", description="auto: console on a terminal, else json")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level that is logged")

    railway_accounts: SecretStr = Field(SecretStr(""), description="JSON: alias to account; empty: no deploys")
    railway_url: str = Field("https://backboard.railway.com/graphql/v2", description="where deploys are asked for")
    railway_gap: float = Field(0.1, ge=0, le=60, description="seconds between two requests for deploys")
    deploy_off: bool = Field(False, description="change nothing at Railway, whatever else says so")

    state_keys: SecretStr | None = Field(
        None, description="keys of MCP request state, separated by commas; empty: one in the database"
    )
    legacy_sessions: bool = Field(
        False, description="keep sessions for MCP clients of the older era; replicas then need sticky routing"
    )

    clocks: int | None = Field(None, ge=0, le=1, description="clock processes; default: one where engines run")
    task_days: float = Field(7.0, gt=0, description="days after which handles on long calls are forgotten")

    @field_validator("admin_token", "metrics_token")
    @classmethod
    def empty_is_none(cls, value: SecretStr | None) -> SecretStr | None:
        """A variable that is set to nothing is no token."""
        return value if value is not None and value.get_secret_value() else None

    @property
    def secrets(self) -> list[str]:
        """What must not be logged or stored: the secrets that this process was given."""
        given = [value for name in type(self).model_fields if isinstance(value := getattr(self, name), SecretStr)]
        keys = self.state_keys.get_secret_value().split(",") if self.state_keys is not None else []
        parts = [*(key.strip() for key in keys), *railway_tokens(self.railway_accounts, os.environ)]
        every = [*(one.get_secret_value() for one in given), *parts, *database_password(self.store_url)]
        return [one for one in every if one]

    @property
    def store_url(self) -> str:
        """Where the database is."""
        return self.database_url or f"sqlite:///{self.data.resolve() / 'igla.db'}"

    @property
    def artifact_folder(self) -> Path:
        """Where files named by their SHA-256 lie."""
        return self.data.resolve() / "artifacts"

    @property
    def artifact_place(self) -> str:
        """Where artifacts lie: a path, or the address of a bucket."""
        return self.artifacts or str(self.artifact_folder)

    @property
    def scorer_count(self) -> int:
        """Scorer processes to start."""
        return min(1, self.engine_count) if self.scorers is None else self.scorers

    @property
    def clock_count(self) -> int:
        """Clock processes to start. Of several, on whatever machine, one leads."""
        return min(1, self.engine_count) if self.clocks is None else self.clocks

    @property
    def arena_count(self) -> int:
        """Arena processes to start, where the system can run entries."""
        return min(1, self.engine_count) if self.arenas is None else self.arenas

    @property
    def arena_interpreter(self) -> str:
        """Path of the interpreter that runs entries."""
        return self.arena_python or sys.executable

    @property
    def engine_count(self) -> int:
        """Engine processes to start: one a core, each on one thread, beat one on all cores for small models."""
        return (os.cpu_count() or 1) if self.engines is None else self.engines

    @property
    def hosts(self) -> list[str]:
        """Host names that requests may carry, in small letters."""
        extra = [name.strip() for name in self.allowed_hosts.split(",") if name.strip()]
        public = [without_port(urlsplit(self.public_url).netloc)] if self.public_url else []
        named = [*extra, *platform_hosts(os.environ), *public]
        return [*LOOPBACK[:2], "[::1]", *(name.lower() for name in named)]

    @property
    def toolset_names(self) -> list[str]:
        """Groups of tools that are offered."""
        return [name.strip() for name in self.toolsets.split(",") if name.strip()]

    @property
    def accounts(self) -> dict[str, Account]:
        """Railway projects that may be deployed to, by alias."""
        return accounts(self.railway_accounts.get_secret_value(), os.environ)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        return self.host in LOOPBACK


def without_port(netloc: str) -> str:
    """The name without its port; an IPv6 address keeps its brackets."""
    name, _, port = netloc.rpartition(":")
    return name if port.isdecimal() else netloc


def railway_tokens(text: SecretStr, environment: Mapping[str, str]) -> list[str]:
    """The tokens of the accounts; of accounts that cannot be read, those in variables of their own."""
    own = [value for name, value in environment.items() if name.startswith("IGLA_RAILWAY_TOKEN_")]
    try:
        found = accounts(text.get_secret_value(), environment)
    except InvalidValue:
        return own
    return [*own, *(one.token.get_secret_value() for one in found.values())]


def database_password(url: str) -> list[str]:
    """The password in a database's address, if it has one."""
    try:
        password = make_url(url).password
    except ArgumentError:
        return []
    return [str(password)] if password else []
