"""What each host of MCP wants to read about a server: an entry, a shell line, a link.

Sources, all looked at in November 2026: code.claude.com/docs/en/mcp (Claude Code expands `${NAME}` in `.mcp.json` and
in `~/.claude.json`), cursor.com/docs/mcp and cursor.com/docs/mcp/install-links (`${env:NAME}`, deep links),
developers.openai.com/codex/mcp (`bearer_token_env_var`; a literal header is `http_headers`),
code.visualstudio.com/docs/copilot/reference/mcp-configuration (`inputs`, asked once and kept encrypted).
"""

import base64
import json
import re
import shlex
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from errors import InvalidValue, shown

NAME = "igla"
"""What the server is called in a host's configuration."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """What a host shall reach: a URL, or a command that speaks over standard input and output.

    variable: the environment variable with the token; empty: no token is sent. secret: a token that is written down in
    place of the variable's name.
    """

    url: str = ""
    command: tuple[str, ...] = ()
    variable: str = ""
    secret: str = ""

    def __post_init__(self) -> None:
        if self.variable and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", self.variable):
            raise InvalidValue(
                f"An environment variable is named by letters, digits and _, got {shown(self.variable)}."
            )
        if self.secret and not re.fullmatch(r"[\w.~+/=-]+", self.secret, re.ASCII):
            raise InvalidValue("A token is letters, digits and . _ ~ + / = - only.")

    def bearer(self, reference: str) -> dict[str, str]:
        """The header that carries the token, if there is one: the secret, or how the host spells the variable."""
        if not (self.secret or self.variable):
            return {}
        return {"Authorization": f"Bearer {self.secret or reference.format(self.variable)}"}


def json_entry(server: Server, reference: str, kind: str, stdio: str = "") -> dict[str, Any]:
    """A server as the hosts with JSON files have it. kind, stdio: what they call the transports, if they do."""
    if server.command:
        started = {"command": server.command[0], "args": list(server.command[1:])}
        return {"type": stdio, **started} if stdio else started
    headers = server.bearer(reference)
    entry = {"type": kind, "url": server.url} if kind else {"url": server.url}
    return {**entry, "headers": headers} if headers else entry


def claude_entry(server: Server) -> dict[str, Any]:
    """Claude Code."""
    return json_entry(server, "${{{}}}", "http", "stdio")


def claude_command(server: Server) -> str:
    """`claude mcp add`; single quotes leave the variable to Claude Code, which reads it at every start."""
    if server.command:
        return f"claude mcp add --scope user {NAME} -- {shlex.join(server.command)}"
    header = "".join(f" --header '{key}: {value}'" for key, value in server.bearer("${{{}}}").items())
    return f"claude mcp add --transport http --scope user {NAME} {server.url}{header}"


def cursor_entry(server: Server) -> dict[str, Any]:
    """Cursor tells the transports apart by their fields."""
    return json_entry(server, "${{env:{}}}", "")


def cursor_link(server: Server) -> str:
    """Cursor asks before it adds what the link holds."""
    packed = base64.b64encode(json.dumps(cursor_entry(server)).encode()).decode()
    return f"cursor://anysphere.cursor-deeplink/mcp/install?name={NAME}&config={quote(packed, safe='')}"


def codex_entry(server: Server) -> dict[str, Any]:
    """Codex names the variable; it refuses a key `bearer_token`, so a secret is a header."""
    if server.command:
        return {"command": server.command[0], "args": list(server.command[1:])}
    if server.secret:
        return {"url": server.url, "http_headers": server.bearer("")}
    return {"url": server.url, **({"bearer_token_env_var": server.variable} if server.variable else {})}


def codex_command(server: Server) -> str:
    """`codex mcp add` takes a variable, not a secret."""
    if server.command:
        return f"codex mcp add {NAME} -- {shlex.join(server.command)}"
    option = f" --bearer-token-env-var {server.variable}" if server.variable else ""
    return f"codex mcp add {NAME} --url {server.url}{option}"


def vscode_entry(server: Server) -> dict[str, Any]:
    """VS Code asks for the token once."""
    return json_entry(server, "${{input:igla-token}}", "http", "stdio")


def vscode_inputs(server: Server) -> dict[str, Any]:
    """What VS Code asks for."""
    if server.command or server.secret or not server.variable:
        return {}
    return {"inputs": [{"id": "igla-token", "type": "promptString", "description": "Token of igla", "password": True}]}


def vscode_packed(server: Server) -> str:
    """The server in the one JSON object that VS Code's link and command take."""
    return json.dumps({"name": NAME, **vscode_inputs(server), **vscode_entry(server)}, separators=(",", ":"))
