"""Hosts of MCP: where each of them keeps its servers. Pure: nothing here reads or writes a file."""

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import tomlkit

from errors import InvalidValue, unknown
from server.address import address
from server.host_entries import (
    NAME,
    Server,
    claude_command,
    claude_entry,
    codex_command,
    codex_entry,
    cursor_entry,
    cursor_link,
    vscode_entry,
    vscode_inputs,
    vscode_packed,
)

VARIABLE = "IGLA_TOKEN"
"""The environment variable that holds a token, unless another is named."""


@dataclass(frozen=True, kw_only=True)
class HostConfig:
    """One host's configuration, ready to be copied.

    file: where `text` goes, or empty. command: does the same in a shell, or is empty. setup: the shell line that holds
    the token and comes first, or empty. link: opens the host and asks whether to add the server, or is empty.
    """

    title: str
    file: str
    text: str
    command: str = ""
    setup: str = ""
    link: str = ""


@dataclass(frozen=True, kw_only=True)
class Host:
    """A host and the shape of its configuration.

    key: the table of servers. home: a variable that moves the folder of `file`. asks: it asks for a token by itself.
    """

    title: str
    file: str
    project_file: str
    key: str
    entry: Callable[[Server], dict[str, Any]]
    command: Callable[[Server], str]
    link: Callable[[Server], str] = lambda server: ""
    home: str = ""
    asks: bool = False
    extra: Callable[[Server], dict[str, Any]] = lambda server: {}

    @property
    def is_toml(self) -> bool:
        """TOML, or else JSON."""
        return self.file.endswith(".toml")

    def text(self, server: Server) -> str:
        """A whole file that holds nothing but this server."""
        whole = {**self.extra(server), self.key: {NAME: self.entry(server)}}
        return tomlkit.dumps(whole) if self.is_toml else json.dumps(whole, indent=2) + "\n"


def configs(
    url: str, token: str | None = None, *, variable: str = VARIABLE, in_file: bool = False
) -> Mapping[str, HostConfig]:
    """The configuration of every host for a server's address, by the host's short name.

    token: a secret to show; it stands in `setup` alone, and the files name the variable. None: `setup` has a blank to
    fill. variable: empty for a server that is open to everybody; then no token stands anywhere. in_file: the token is
    written into the files too.
    """
    if in_file and not token:
        raise InvalidValue("A token that shall stand in the file must be given.")
    base = address(url, "url")
    known = Server(url=f"{base}/mcp", variable=variable, secret=token or "")
    server = known if in_file else replace(known, secret="")
    setup = f"export {variable}={token or 'igla_...'}" if variable else ""
    made = {name: host_config(host, server, setup) for name, host in HOSTS.items()}
    return MappingProxyType({**made, "curl": curl(base, variable, setup)})


def host_config(host: Host, server: Server, setup: str) -> HostConfig:
    """A host's configuration. A secret never stands in a command's words or in a link."""
    return HostConfig(
        title=host.title,
        file=host.file,
        text=host.text(server),
        command="" if server.secret else host.command(server),
        setup="" if server.secret or host.asks else setup,
        link="" if server.secret else host.link(server),
    )


def host_of(name: str) -> Host:
    """The host of that name. An unknown one is refused with the nearest."""
    if name not in HOSTS:
        raise unknown("MCP host", name, HOSTS)
    return HOSTS[name]


def curl(base: str, variable: str, setup: str) -> HostConfig:
    """A first call without any host."""
    header = f' -H "Authorization: Bearer ${variable}"' if variable else ""
    line = f"curl -sS{header} -H 'Content-Type: application/json' -d '{{}}' {base}/api/glossary"
    return HostConfig(title="curl", file="", text=line + "\n", command=line, setup=setup)


VSCODE = Host(
    title="VS Code",
    file=".vscode/mcp.json",
    project_file=".vscode/mcp.json",
    key="servers",
    entry=vscode_entry,
    command=lambda server: f"code --add-mcp {shlex.quote(vscode_packed(server))}",
    link=lambda server: f"vscode:mcp/install?{quote(vscode_packed(server), safe='')}",
    asks=True,
    extra=vscode_inputs,
)

HOSTS: Mapping[str, Host] = MappingProxyType({
    "claude": Host(
        title="Claude Code",
        file="~/.claude.json",
        project_file=".mcp.json",
        key="mcpServers",
        entry=claude_entry,
        command=claude_command,
        home="CLAUDE_CONFIG_DIR",
    ),
    "cursor": Host(
        title="Cursor",
        file="~/.cursor/mcp.json",
        project_file=".cursor/mcp.json",
        key="mcpServers",
        entry=cursor_entry,
        command=lambda server: "",
        link=cursor_link,
    ),
    "codex": Host(
        title="Codex",
        file="~/.codex/config.toml",
        project_file=".codex/config.toml",
        key="mcp_servers",
        entry=codex_entry,
        command=codex_command,
        home="CODEX_HOME",
    ),
    "vscode": VSCODE,
})  # fmt: skip
