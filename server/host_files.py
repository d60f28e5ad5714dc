"""The files of MCP hosts: the text with igla in it, or without it. Pure, from text to text.

Whatever else a file says it goes on saying: each result is read again and compared, and where that fails nothing is
written. JSON is written anew with the file's own indentation; TOML is edited in place, with its comments.
"""

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import tomlkit
from tomlkit import TOMLDocument
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import InlineTable

from errors import Refusal
from server.host_entries import NAME, Server
from server.hosts import Host

TRANSPORT = ("type", "url", "command", "args", "env", "cwd")
OURS = (*TRANSPORT, "headers", "http_headers", "env_http_headers", "bearer_token_env_var")
"""What an entry says about reaching a server. The rest of it (timeouts, switches) is the user's and stays."""


class HostFileUnreadable(Refusal):
    """Nothing was written. Add the entry by hand: `igla mcp show HOST` prints it."""

    code = "host_file_unreadable"
    status = 422


def installed(text: str, host: Host, server: Server) -> str:
    """The file's text with igla as that server. Twice is once. An empty text is a new file."""
    if not text.strip():
        return host.text(server)
    told = data(text, host)
    entry = {**kept(table(told, host).get(NAME, {})), **host.entry(server)}
    wanted = {**told, **inputs(told, host.extra(server)), host.key: {**table(told, host), NAME: entry}}
    return text if says(text, host, wanted) else written(text, host, wanted)


def uninstalled(text: str, host: Host) -> str:
    """The file's text without igla."""
    if not text.strip():
        return text
    told = data(text, host)
    if NAME not in table(told, host):
        return text
    left = {name: entry for name, entry in table(told, host).items() if name != NAME}
    wanted = {**told, host.key: left}
    return written(text, host, wanted if left else {key: told[key] for key in told if key != host.key})


def data(text: str, host: Host) -> dict[str, Any]:
    """What the file says. Raises HostFileUnreadable, which never quotes it."""
    try:
        told = (
            tomllib.loads(text) if host.is_toml else json.loads(text, object_pairs_hook=once, parse_constant=no_number)
        )
    except (ValueError, RecursionError):
        kind = "TOML" if host.is_toml else "plain JSON (comments are none)"
        raise HostFileUnreadable(f"The file of {host.title} is not {kind}.") from None
    if not isinstance(told, dict):
        raise HostFileUnreadable(f"The file of {host.title} holds no object.")
    return told


def no_number(name: str) -> float:
    """JSON has no NaN and no infinity."""
    raise ValueError(name)


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, unless a key stands in it twice: one of the two would be lost."""
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)


def table(told: Mapping[str, Any], host: Host) -> dict[str, Any]:
    """The servers that the file has."""
    servers = told.get(host.key, {})
    if not isinstance(servers, dict) or not isinstance(servers.get(NAME, {}), dict):
        raise HostFileUnreadable(f"{host.key} in the file of {host.title} is no table of servers.")
    return servers


def kept(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What of an entry is the user's."""
    return {key: value for key, value in entry.items() if key not in OURS}


def inputs(told: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """The lists beside the servers, each with what is new in it."""
    for key in extra:
        if not isinstance(told.get(key, []), list):
            raise HostFileUnreadable(f"{key} in the file is no list.")
    return {
        key: [*told.get(key, []), *(one for one in new if one not in told.get(key, []))] for key, new in extra.items()
    }


def written(text: str, host: Host, wanted: Mapping[str, Any]) -> str:
    """The file's text, saying what is wanted and nothing else."""
    for made in toml_texts(text, host, wanted) if host.is_toml else [json_text(text, wanted)]:
        if says(made, host, wanted):
            return made
    raise HostFileUnreadable(f"The file of {host.title} is written in a way that cannot be edited safely.")


def says(text: str, host: Host, wanted: Mapping[str, Any]) -> bool:
    """Whether a text says what is wanted, to the type of each value."""
    try:
        told = data(text, host)
    except HostFileUnreadable:
        return False
    return json.dumps(told, sort_keys=True, default=repr) == json.dumps(wanted, sort_keys=True, default=repr)


def json_text(text: str, wanted: Mapping[str, Any]) -> str:
    """JSON in the style of the text: its indentation, its line ends, its letters."""
    indent = re.match(r"\s*\{\s*?\n([ \t]+)", text)
    style: dict[str, Any] = {"indent": indent.group(1)} if indent else {}
    surrogate = re.search(r"\\u[dD][89a-fA-F]", text) is not None  # may stand alone, and then no file can hold it
    made = json.dumps(wanted, ensure_ascii=surrogate, **style) + "\n" * text.endswith("\n")
    return made.replace("\n", "\r\n") if "\r\n" in text else made


def toml_texts(text: str, host: Host, wanted: Mapping[str, Any]) -> Iterator[str]:
    """TOML with igla's entry set or removed: the ways to try, the one that keeps most comments first."""
    entry = wanted.get(host.key, {}).get(NAME)
    for edit in [setting(host, entry)] if entry is not None else [emptied(host), without(host)]:
        with suppress(TOMLKitError, AttributeError, TypeError):
            document = tomlkit.parse(text)
            edit(document)
            made = tomlkit.dumps(document)
            yield made if entry is not None else header(host).sub("", made)


def setting(host: Host, entry: Mapping[str, Any]) -> Callable[[TOMLDocument], None]:
    """Set the keys of igla's table, made where there is none."""

    def edit(document: TOMLDocument) -> None:
        if host.key not in document:
            document[host.key] = tomlkit.table(is_super_table=True)
        servers: Any = document[host.key]
        if NAME not in servers:
            servers[NAME] = tomlkit.inline_table() if isinstance(servers, InlineTable) else tomlkit.table()
        found: Any = document[host.key]
        keep(found[NAME], entry)

    return edit


def keep(found: Any, entry: Mapping[str, Any]) -> None:
    """Make a table say no more and no less than the entry; what it says already is not touched."""
    for key in [key for key in found if key not in entry]:
        found.remove(key)
    for key, value in entry.items():
        if key not in found or found[key] != value:
            found[key] = value


def emptied(host: Host) -> Callable[[TOMLDocument], None]:
    """Take the keys out of igla's table: a comment under them belongs to what follows."""

    def edit(document: TOMLDocument) -> None:
        servers: Any = document[host.key]
        keep(servers[NAME], {})

    return edit


def without(host: Host) -> Callable[[TOMLDocument], None]:
    """Take igla's table out as a whole, wherever it stands."""

    def edit(document: TOMLDocument) -> None:
        servers: Any = document[host.key]
        del servers[NAME]
        if not servers:
            del document[host.key]

    return edit


def header(host: Host) -> re.Pattern[str]:
    """The line that begins igla's table."""
    return re.compile(rf"^\[{host.key}\.{NAME}\][ \t]*\r?\n?", re.MULTILINE)
