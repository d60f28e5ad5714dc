"""The address of a server, as people write it."""

import re
from urllib.parse import urlsplit

from errors import InvalidValue, shown

ADDRESS = re.compile(r"https?://[^/\s@?#'\"\\]+(/[\w.~/-]*)?", re.ASCII)
"""A scheme, a host and maybe a path. Never a user or a query: secrets travel in headers."""


def address(server: str, option: str = "--server") -> str:
    """The server's address without what people copy along with it: a slash or `/mcp` at its end."""
    if not ADDRESS.fullmatch(server):
        raise InvalidValue(
            f"{option} is an address such as https://igla.example.org, got {shown(without_user(server))}."
        )
    return server.rstrip("/").removesuffix("/mcp").rstrip("/")


def without_user(server: str) -> str:
    """The text without what may be a password."""
    return server.rpartition("@")[2]


def is_local(url: str) -> bool:
    """Whether an address is this machine's own."""
    name = urlsplit(url).hostname or ""
    return name in ("localhost", "::1") or re.fullmatch(r"127(\.\d+){3}", name) is not None
