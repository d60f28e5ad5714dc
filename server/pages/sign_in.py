"""Signing in: a token is checked once, and a cookie stands for it until it ends."""

import asyncio
import hmac
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from fastapi import FastAPI, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from db import tokens, web_sessions
from errors import Refusal
from server.pages.door import COOKIE, cookie_of
from server.pages.refusals import local
from server.pages.shell import HEADERS, THEMES, page
from server.runtime import Runtime, utc_now

MOST_FAILURES, WITHIN_SECONDS = 10, 300.0
"""Wrong tokens that an address may try within so long."""

MOST_ADDRESSES = 10_000
"""Addresses whose failures a process remembers."""

LONGEST = 4096
"""Bytes that a form may have."""


class TooManyFailures(Refusal):
    """Wait some minutes, then sign in with a token that `igla token create` has made."""

    code = "too_many_failures"
    status = 429


@dataclass
class Failures:
    """Wrong tokens by the address that they came from. Times are seconds of one clock."""

    by_address: dict[str, deque[float]] = field(default_factory=dict)

    def wait(self, address: str, now: float) -> float:
        """Seconds until this address may try again; 0 where it may now."""
        times = self.by_address.get(address, deque())
        while times and times[0] <= now - WITHIN_SECONDS:
            times.popleft()
        return 0.0 if len(times) < MOST_FAILURES else times[0] + WITHIN_SECONDS - now

    def note(self, address: str, now: float) -> None:
        """One more wrong token. Where too many addresses are known, the one that failed first is forgotten."""
        if address not in self.by_address and len(self.by_address) >= MOST_ADDRESSES:
            del self.by_address[next(iter(self.by_address))]
        self.by_address.setdefault(address, deque(maxlen=MOST_FAILURES)).append(now)


def add_sign_in(app: FastAPI, runtime: Runtime) -> None:
    """Add `/sign-in`, `/sign-out` and `/theme`."""
    failures = Failures()

    async def form(request: Request) -> HTMLResponse:
        return page(request, "sign_in.html", {"wrong": False, "next": local(request.query_params.get("next", "/"))})

    async def sign_in(request: Request) -> Response:
        given = await fields(request)
        address, now = request.client.host if request.client else "", time.monotonic()
        if (wait := failures.wait(address, now)) > 0:
            raise TooManyFailures(f"Too many wrong tokens came from this address; it may try again in {wait:.0f} s.")
        secret = await asyncio.to_thread(begin, runtime, given.get("token", "").strip())
        target = local(given.get("next", "/"))
        if secret is None:
            failures.note(address, now)
            return page(request, "sign_in.html", {"wrong": True, "next": target}, 401)
        answer = RedirectResponse(target, 303, headers=HEADERS)
        set_cookie(request, answer, secret, web_sessions.HOURS * 3600)
        return answer

    async def sign_out(request: Request) -> Response:
        secret = cookie_of(request.headers.get("cookie", ""))
        if secret is not None:
            await asyncio.to_thread(finish, runtime, secret)
            if (door := request.scope.get("igla.door")) is not None:
                door.forget(secret)
        answer = RedirectResponse("/sign-in", 303, headers={**HEADERS, "Clear-Site-Data": '"cache"'})
        set_cookie(request, answer, "", 0)
        return answer

    async def theme(request: Request) -> Response:
        given = await fields(request)
        answer = RedirectResponse(local(given.get("next", "/")), 303, headers=HEADERS)
        chosen = given.get("theme", "")
        if chosen in THEMES:
            answer.set_cookie(
                "igla_theme", chosen, 365 * 86400, httponly=True, samesite="strict", secure=is_safe(request)
            )
        return answer

    app.add_api_route("/sign-in", form, methods=["GET"], include_in_schema=False)
    for path, function in (("/sign-in", sign_in), ("/sign-out", sign_out), ("/theme", theme)):
        app.add_api_route(path, function, methods=["POST"], include_in_schema=False)


def begin(runtime: Runtime, token: str) -> str | None:
    """The cookie of a new session, or None for a token that is unknown, expired or revoked."""
    if not (token.isascii() and token.isprintable()):
        return None
    admin = runtime.settings.admin_token
    is_admin = admin is not None and hmac.compare_digest(token.encode(), admin.get_secret_value().encode())
    with runtime.store.transaction() as session:
        if not is_admin and tokens.verify(session, token, utc_now()) is None:
            return None
        return web_sessions.create(session, token, utc_now(), is_admin=is_admin)


def finish(runtime: Runtime, secret: str) -> None:
    """End the session of a cookie."""
    with runtime.store.transaction() as session:
        web_sessions.end(session, secret, utc_now())


async def fields(request: Request) -> Mapping[str, str]:
    """The fields of a small form; of a repeated one, the first."""
    body = (await request.body())[: LONGEST + 1]
    try:
        given = parse_qs(body.decode("utf-8", "replace") if len(body) <= LONGEST else "", max_num_fields=10)
    except ValueError:
        return {}
    return {name: values[0] for name, values in given.items()}


def set_cookie(request: Request, answer: Response, value: str, seconds: int) -> None:
    """The session's cookie: for this site alone, and out of reach of scripts."""
    answer.set_cookie(COOKIE, value, seconds, path="/", httponly=True, samesite="strict", secure=is_safe(request))


def is_safe(request: Request) -> bool:
    """Whether the request came over https."""
    return request.url.scheme == "https"
