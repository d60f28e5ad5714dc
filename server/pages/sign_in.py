"""Signing in: a token is checked once, and a cookie stands for it until it ends."""

import asyncio
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

from fastapi import FastAPI, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from db import web_sessions
from db.store import Store
from db.tokens import ADMIN, Principal
from errors import Refusal
from server.auditing import call_of, noting
from server.auth import address_of
from server.credentials import Credentials, Unauthorized
from server.pages.door import COOKIE, cookie_of, is_session
from server.pages.refusals import local
from server.pages.shell import HEADERS, THEMES, page
from server.runtime import Runtime, utc_now

LONGEST = 4096
"""Bytes that a form may have."""


class TokenOfAnother(Refusal):
    """Sign in with a token that `igla token create` has made; access tokens of an issuer open the tools alone."""

    code = "token_of_another"
    status = 403


def add_sign_in(app: FastAPI, runtime: Runtime, credentials: Credentials) -> None:
    """Add `/sign-in`, `/sign-out` and `/theme`."""

    async def form(request: Request) -> HTMLResponse:
        return page(request, "sign_in.html", {"wrong": False, "next": local(request.query_params.get("next", "/"))})

    async def sign_in(request: Request) -> Response:
        given = await fields(request)
        token, target = given.get("token", "").strip(), local(given.get("next", "/"))
        try:
            principal = await credentials.principal(f"Bearer {token}", address_of(request.scope))
        except Unauthorized:
            return page(request, "sign_in.html", {"wrong": True, "next": target}, 401)
        secret = await asyncio.to_thread(begin, runtime, request, token, principal)
        answer = RedirectResponse(target, 303, headers=HEADERS)
        set_cookie(answer, secret, web_sessions.HOURS * 3600, safe=is_safe(request, runtime.settings.public_url))
        return answer

    async def sign_out(request: Request) -> Response:
        secret = cookie_of(request.headers.get("cookie", ""))
        if secret is not None and is_session(request.scope):  # a stranger leaves no row in the audit
            await asyncio.to_thread(finish, runtime, request, secret)
            if (door := request.scope.get("igla.door")) is not None:
                door.forget(secret)
        answer = RedirectResponse("/sign-in", 303, headers={**HEADERS, "Clear-Site-Data": '"cache"'})
        set_cookie(answer, "", 0, safe=is_safe(request, runtime.settings.public_url))
        return answer

    async def theme(request: Request) -> Response:
        given = await fields(request)
        answer = RedirectResponse(local(given.get("next", "/")), 303, headers=HEADERS)
        chosen = given.get("theme", "")
        if chosen in THEMES:
            safe = is_safe(request, runtime.settings.public_url)
            answer.set_cookie("igla_theme", chosen, 365 * 86400, httponly=True, samesite="strict", secure=safe)
        return answer

    app.add_api_route("/sign-in", form, methods=["GET"], include_in_schema=False)
    for path, function in (("/sign-in", sign_in), ("/sign-out", sign_out), ("/theme", theme)):
        app.add_api_route(path, function, methods=["POST"], include_in_schema=False)


def begin(runtime: Runtime, request: Request, token: str, principal: Principal) -> str:
    """The cookie of a new session for a token that was just checked."""
    if principal != ADMIN and not token.startswith(principal.credential or "igla_"):
        raise TokenOfAnother("A session ends with its token, and the end of this one is not told here.")
    with noted(runtime, request, "sign in", principal).transaction() as session:
        return web_sessions.create(session, token, utc_now(), is_admin=principal == ADMIN)


def finish(runtime: Runtime, request: Request, secret: str) -> None:
    """End the session of a cookie."""
    principal: Principal = request.scope["igla.principal"]
    with noted(runtime, request, "sign out", principal).transaction() as session:
        web_sessions.end(session, secret, utc_now())


def noted(runtime: Runtime, request: Request, action: str, principal: Principal) -> Store:
    """The store, whose next transaction leaves a row of who did this."""
    given = (principal.name, principal.scopes, principal.credential, "http", request.scope["igla.request_id"])
    return noting(runtime.store, call_of(runtime.context(*given), action))


async def fields(request: Request) -> Mapping[str, str]:
    """The fields of a small form; of a repeated one, the first."""
    body = (await request.body())[: LONGEST + 1]
    try:
        given = parse_qs(body.decode("utf-8", "replace") if len(body) <= LONGEST else "", max_num_fields=10)
    except ValueError:
        return {}
    return {name: values[0] for name, values in given.items()}


def set_cookie(answer: Response, value: str, seconds: int, *, safe: bool) -> None:
    """The session's cookie: for this site alone, and out of reach of scripts. safe: over https alone."""
    answer.set_cookie(COOKIE, value, seconds, path="/", httponly=True, samesite="strict", secure=safe)


def is_safe(request: Request, public_url: str) -> bool:
    """Whether the browser came over https: the request says so, or asks for the public address, which is one."""
    public = urlsplit(public_url)
    return request.url.scheme == "https" or (public.scheme == "https" and request.url.hostname == public.hostname)
