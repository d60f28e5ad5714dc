"""Door: which addresses are pages, and who a browser is that sends no token but perhaps a cookie.

The cookie counts for pages and their events, and for nothing that changes anything but the session itself. `/api`,
`/mcp` and `/artifacts` never look at it.
"""

import asyncio
import hashlib
import math
import re
import time
from collections.abc import Mapping

from starlette.requests import cookie_parser
from starlette.types import Scope

from db import web_sessions
from db.tokens import Principal
from server.runtime import Runtime, utc_now

COOKIE = "igla_session"
NOBODY = Principal(name="nobody", scopes=frozenset())
SPECTATOR = Principal(name="spectator", scopes=frozenset({"read"}))
"""Who looks at a public board without having signed in."""

OPEN = re.compile(r"/sign-in|/sign-out|/theme|/favicon\.svg|/static/[^/]+")
"""Addresses that everybody may ask for."""

BOARD = re.compile(r"/|/races/.*|/runs/.*|/arena(/.*)?|/glossary|/events/(races|runs)/.*")
"""Addresses that a public board shows to everybody."""

PAGES = re.compile(r"/(queue|activity|connect|events/.*)")
"""The other pages."""

OPERATORS = "/activity"
"""Only who may do everything sees this page."""

REMEMBER_SECONDS = 5.0
"""A cookie's answer is remembered this long, as a token's is."""


def is_page(path: str) -> bool:
    """Whether a browser's cookie counts at this address."""
    return any(kind.fullmatch(path) for kind in (OPEN, BOARD, PAGES))


def may_see(principal: Principal, path: str, public: bool) -> bool:
    """Whether a page is worth a link in the navigation."""
    if path == OPERATORS:
        return "admin" in principal.scopes
    if principal in (NOBODY, SPECTATOR):
        return public and BOARD.fullmatch(path) is not None
    return True


def is_session(scope: Scope) -> bool:
    """Whether the caller came in by the cookie, and so can sign out."""
    return bool(scope.get("igla.is_session"))


def cookie_of(header: str) -> str | None:
    """The session's secret among the cookies of a request."""
    return cookie_parser(header).get(COOKIE)


class Door:
    """Finds out who a browser is. One a process; it remembers answers for a few seconds."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.remembered: dict[str, tuple[float, Principal | None]] = {}

    async def principal(self, scope: Scope, headers: Mapping[str, str]) -> Principal | None:
        """Who asks for a page without a token; None where this is no page, or one that is not for everybody."""
        path, method = scope["path"], scope["method"]
        scope["igla.door"] = self
        scope["igla.public_board"] = self.runtime.settings.public_board
        if not is_page(path) or not (method in ("GET", "HEAD") or OPEN.fullmatch(path)):
            return None
        secret = cookie_of(headers.get("cookie", ""))
        found = None if secret is None else await self.remember(secret)
        scope["igla.is_session"] = found is not None
        if found is not None:
            return found
        if OPEN.fullmatch(path):
            return NOBODY
        return SPECTATOR if self.runtime.settings.public_board and BOARD.fullmatch(path) else None

    async def remember(self, secret: str) -> Principal | None:
        """The principal of a cookie, remembered under its hash."""
        key = hashlib.sha256(secret.encode()).hexdigest()
        since, found = self.remembered.get(key, (-math.inf, None))
        if time.monotonic() - since > REMEMBER_SECONDS:
            found = await asyncio.to_thread(self.look_up, secret)
            if len(self.remembered) > 1000:
                self.remembered.clear()
            self.remembered[key] = (time.monotonic(), found)
        return found

    def look_up(self, secret: str) -> Principal | None:
        """The principal of a cookie, from the store."""
        with self.runtime.store.reading() as session:
            admin = self.runtime.settings.admin_token
            return web_sessions.verify(session, secret, utc_now(), admin.get_secret_value() if admin else None)

    def forget(self, secret: str) -> None:
        """Forget a cookie at once: its session has ended here."""
        self.remembered.pop(hashlib.sha256(secret.encode()).hexdigest(), None)
