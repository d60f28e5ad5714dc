"""Who calls: bearer tokens, Host and Origin, body size. One ASGI shell around every doorway."""

import asyncio
import hashlib
import hmac
import math
import time
from functools import lru_cache
from urllib.parse import urlsplit
from uuid import uuid4

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from db import tokens
from db.tokens import Principal
from errors import Refusal
from server.pages.door import Door
from server.pages.refusals import answer
from server.runtime import Runtime
from tools import Context

PUBLIC = frozenset({"/healthz", "/readyz"})
LARGEST_BODY = 4 * 1024 * 1024
STREAMED = "/artifacts/"
"""Below this path a PUT is written down as it comes, under a limit of its own."""

REMEMBER_SECONDS = 5.0
"""A token's answer is remembered this long, so a revocation is effective within it."""

LOCAL = Principal(name="local", scopes=frozenset({"admin"}))
ADMIN = Principal(name="admin", scopes=frozenset({"admin"}))


class Unauthorized(Refusal):
    """Send `Authorization: Bearer <token>`; an operator makes tokens with `igla token create`."""

    code = "unauthorized"
    status = 401


class WrongOrigin(Refusal):
    """Use a Host and Origin that this server answers for; operators add names with IGLA_ALLOWED_HOSTS."""

    code = "wrong_origin"
    status = 403


class BodyTooLarge(Refusal):
    """Send a smaller request; files travel as artifacts."""

    code = "body_too_large"
    status = 413


class Gate:
    """ASGI shell: answers for allowed hosts only, finds the caller's principal, limits the body.

    Without any token, and bound to loopback, everybody who can connect is the local operator.
    """

    def __init__(self, app: ASGIApp, runtime: Runtime) -> None:
        self.app = app
        self.runtime = runtime
        self.remembered: dict[str, tuple[float, Principal | None]] = {}
        self.tokens_exist = (-math.inf, False)
        self.door = Door(runtime)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through with `scope["igla.principal"]` set, or answer with a refusal."""
        if scope["type"] != "http" or scope["path"] in PUBLIC:
            await self.app(scope, receive, send)
            return
        scope["igla.request_id"] = str(uuid4())
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
        try:
            check_origin(headers, self.runtime.settings.hosts)
            streamed = scope["method"] == "PUT" and scope["path"].startswith(STREAMED)
            if not streamed and int(headers.get("content-length", "0") or 0) > LARGEST_BODY:
                raise BodyTooLarge(f"A request may have {LARGEST_BODY} bytes.")
            principal = await self.caller(scope, headers)
            scope["igla.principal"] = principal
            scope["user"] = session_owner(principal)
        except Refusal as refusal:
            await answer(Request(scope), refusal, refused(refusal))(scope, receive, send)
            return
        await self.app(scope, receive if streamed else limited(receive), send)

    async def caller(self, scope: Scope, headers: dict[str, str]) -> Principal:
        """Who asks: a token's owner, the local operator, or a browser with a cookie that asks for a page."""
        authorization = headers.get("authorization", "")
        if authorization:
            return await self.principal(authorization)
        from_browser = await self.door.principal(scope, headers)
        if from_browser is not None and scope["igla.is_session"]:
            return from_browser
        try:
            return await self.principal("")
        except Unauthorized:
            if from_browser is None:
                raise
            return from_browser

    async def principal(self, authorization: str) -> Principal:
        """The caller's name and scopes."""
        kind, _, secret = authorization.partition(" ")
        if not authorization:
            if self.runtime.settings.is_loopback and not await self.closed():
                return LOCAL
            raise Unauthorized("No token came with the request.")
        secret = secret.strip() if kind.lower() == "bearer" else ""
        admin = self.runtime.settings.admin_token
        if admin and hmac.compare_digest(secret.encode(), admin.get_secret_value().encode()):
            return ADMIN
        found = await self.verify(secret)
        if found is None:
            raise Unauthorized("The token is unknown, expired or revoked.")
        return found

    async def verify(self, secret: str) -> Principal | None:
        """The principal of a token, remembered for a few seconds under the token's hash."""
        key = hashlib.sha256(secret.encode()).hexdigest()
        since, found = self.remembered.get(key, (-math.inf, None))
        if time.monotonic() - since > REMEMBER_SECONDS:
            found = await asyncio.to_thread(self.look_up, secret)
            if len(self.remembered) > 1000:
                self.remembered.clear()
            self.remembered[key] = (time.monotonic(), found)
        return found

    def look_up(self, secret: str) -> Principal | None:
        """The principal of a token, from the store."""
        with self.runtime.store.reading() as session:
            return tokens.verify(session, secret, self.runtime.context().now)

    async def closed(self) -> bool:
        """Whether a token is needed on loopback too: as soon as one exists."""
        if self.runtime.settings.admin_token is not None:
            return True
        since, exists = self.tokens_exist
        if time.monotonic() - since > REMEMBER_SECONDS:
            self.tokens_exist = (time.monotonic(), exists or await asyncio.to_thread(self.any_token))
        return self.tokens_exist[1]

    def any_token(self) -> bool:
        """Whether the store has a token."""
        with self.runtime.store.reading() as session:
            return tokens.any_exists(session)


def context_of(runtime: Runtime, request: Request | None) -> Context:
    """The context of the request's principal; without a request (stdio) that of the local operator."""
    if request is None:
        return runtime.context()
    principal: Principal = request.scope["igla.principal"]
    doorway = "mcp" if request.scope["path"] == "/mcp" else "http"
    request_id: str = request.scope["igla.request_id"]
    return runtime.context(principal.name, principal.scopes, principal.credential, doorway, request_id)


@lru_cache(1000)
def session_owner(principal: Principal) -> AuthenticatedUser:
    """The principal as the MCP SDK knows one: a session of the older era answers to nobody else."""
    return AuthenticatedUser(AccessToken(token="", client_id=principal.name, scopes=sorted(principal.scopes)))


def check_origin(headers: dict[str, str], hosts: list[str]) -> None:
    """Refuse a Host that is not ours and a browser's request from another site (DNS rebinding)."""
    if host_name(headers.get("host", "")) not in hosts:
        raise WrongOrigin("The Host header is not one of this server's names.")
    origin = headers.get("origin")
    if origin is not None and host_name(netloc_of(origin)) not in hosts:
        raise WrongOrigin("The Origin header is not one of this server's names.")


def netloc_of(origin: str) -> str:
    """Host and port of an Origin; empty where it is no address."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def host_name(netloc: str) -> str:
    """The name without its port; an IPv6 address keeps its brackets."""
    return netloc.rpartition(":")[0] if netloc.rpartition(":")[2].isdigit() else netloc


def limited(receive: Receive) -> Receive:
    """Stop reading a body that grows over the limit without having said so."""
    seen = 0

    async def counting() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > LARGEST_BODY:
            raise BodyTooLarge(f"A request may have {LARGEST_BODY} bytes.")
        return message

    return counting


def refused(refusal: Refusal) -> JSONResponse:
    """A refusal as HTTP: its status, code, message and next step."""
    body = {"code": refusal.code, "message": refusal.message, "next_step": refusal.next_step}
    headers = {"WWW-Authenticate": 'Bearer error="invalid_token"'} if refusal.status == 401 else None
    return JSONResponse(body, status_code=refusal.status, headers=headers)
