"""Accounts: which Railway projects this server may deploy to, each under an alias that every call names.

`IGLA_RAILWAY_ACCOUNTS` is a JSON object, alias to fields:

    {"main": {"kind": "project", "project": "PROJECT-ID", "environment": "ENVIRONMENT-ID", "image": "IMAGE"}}

The token stands in `token`, or in the variable `IGLA_RAILWAY_TOKEN_<ALIAS>`. It leaves this module in a header only.
"""

import json
import re
from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from errors import InvalidValue, Refusal, unknown

ALIAS = re.compile(r"[a-z0-9][a-z0-9_]{0,31}")


class DeployNotConfigured(Refusal):
    """Set IGLA_RAILWAY_ACCOUNTS as docs/deploy.md says, then start the server again."""

    code = "deploy_not_configured"
    status = 409


class Account(BaseModel):
    """One project and environment, and the token for it.

    kind: where the token comes from; a project's travels in a header of its own. image, repo: what workers run, one of
    the two. workspace: where templates are deployed to without a project.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    alias: str = ""
    token: SecretStr = SecretStr("")
    kind: Literal["account", "workspace", "oauth", "project"]
    project: str = Field(pattern=r"^[A-Za-z0-9-]{8,64}$")
    environment: str = Field(pattern=r"^[A-Za-z0-9-]{8,64}$")
    workspace: str = Field("", pattern=r"^[A-Za-z0-9-]{0,64}$")
    image: str = Field("", max_length=300)
    repo: str = Field("", max_length=300)

    @property
    def headers(self) -> dict[str, str]:
        """The header that proves who calls. For the wire, never for a log."""
        secret = self.token.get_secret_value()
        return {"Project-Access-Token": secret} if self.kind == "project" else {"Authorization": f"Bearer {secret}"}


def accounts(text: str, environment: Mapping[str, str]) -> dict[str, Account]:
    """Every account by alias. What cannot be read is refused without showing it: it may hold a token."""
    try:
        given = json.loads(text or "{}")
    except ValueError:
        raise InvalidValue("IGLA_RAILWAY_ACCOUNTS is not JSON.") from None
    if not isinstance(given, dict) or not all(isinstance(fields, dict) for fields in given.values()):
        raise InvalidValue("IGLA_RAILWAY_ACCOUNTS must be a JSON object of objects: alias to fields.")
    return {alias: account(alias, fields, environment) for alias, fields in given.items()}


def account(alias: str, fields: Mapping[str, object], environment: Mapping[str, str]) -> Account:
    """One account, checked."""
    if not ALIAS.fullmatch(alias):
        raise InvalidValue("IGLA_RAILWAY_ACCOUNTS: an alias has small letters, digits and _, 32 at most.")
    variable = f"IGLA_RAILWAY_TOKEN_{alias.upper()}"
    try:
        made = Account.model_validate({"token": environment.get(variable, ""), **fields, "alias": alias})
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"] if part in Account.model_fields)
        raise InvalidValue(f"IGLA_RAILWAY_ACCOUNTS: {alias}: {where or 'a field'} cannot be read.") from None
    if not made.token.get_secret_value():
        raise InvalidValue(f"IGLA_RAILWAY_ACCOUNTS: {alias} has no token; put it into {variable}.")
    return made


def named(known: Mapping[str, Account], alias: str) -> Account:
    """The account of that alias; there is no default one."""
    if not known:
        raise DeployNotConfigured("No Railway account is configured.")
    if alias not in known:
        raise unknown("account", alias, known)
    return known[alias]
