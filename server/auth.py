"""Who calls: Host and Origin, body size, the principal (`credentials`). One ASGI shell around every doorway."""

from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import urlsplit
from uuid import uuid4

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from db.tokens import Principal
from errors import InvalidValue, Refusal
from server.challenges import METADATA, challenge
from server.credentials import Credentials, Unauthorized
from server.pages.door import Door
from server.pages.refusals import answer
from server.runtime import Runtime
from server.settings import without_port
from tools import Context

PUBLIC = frozenset({"/healthz", "/readyz"})
LARGEST_BODY = 4 * 1024 * 1024
STREAMED = "/artifacts/"
"""Below this path a PUT is written down as it comes, under a limit of its own."""


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

    needs: the scopes that a caller without a token should ask for, by path.
    """

    def __init__(
        self, app: ASGIApp, runtime: Runtime, credentials: Credentials, needs: Mapping[str, tuple[str, ...]]
    ) -> None:
        self.app = app
        self.runtime = runtime
        self.credentials = credentials
        self.needs = needs
        self.door = Door(runtime)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through with `scope["igla.principal"]` set, or answer with a refusal."""
        if scope["type"] != "http" or scope["path"] in PUBLIC:
            await self.app(scope, receive, send)
            return
        if "igla.request_id" not in scope:
            scope["igla.request_id"] = str(uuid4())
        headers = read_headers(scope)
        try:
            check_origin(headers, self.runtime.settings.hosts)
            if "\0" in scope["path"]:
                raise InvalidValue("An address cannot have the character U+0000.")
            streamed = scope["method"] == "PUT" and scope["path"].startswith(STREAMED)
            if not streamed and int(headers.get("content-length", "0") or 0) > LARGEST_BODY:
                raise BodyTooLarge(f"A request may have {LARGEST_BODY} bytes.")
            if scope["path"] not in METADATA:
                principal = await self.caller(scope, headers)
                scope["igla.principal"] = principal
                scope["user"] = session_owner(principal)
        except Refusal as refusal:
            more = self.challenge(refusal, scope, given="authorization" in headers)
            await answer(Request(scope), refusal, refused(refusal, more))(scope, receive, send)
            return
        await self.app(scope, receive if streamed else limited(receive), self.watched(scope, headers, send))

    def watched(self, scope: Scope, headers: dict[str, str], send: Send) -> Send:
        """Who opened a stream is looked up again with each event: a token that ends takes its streams along."""
        if scope["method"] != "GET" or "igla.principal" not in scope or "igla.answering" not in scope:
            return send

        async def telling(message: Message) -> None:
            answering = scope["igla.answering"]
            if answering.is_stream and message.get("more_body") and not await self.stays(scope, headers):
                answering.cut()
            else:
                await send(message)

        return telling

    async def stays(self, scope: Scope, headers: dict[str, str]) -> bool:
        """Whether a request that is being answered would still come from the same principal."""
        try:
            now = await self.caller({**scope}, headers)
        except Refusal:
            return False
        before: Principal = scope["igla.principal"]
        return now == before

    async def caller(self, scope: Scope, headers: dict[str, str]) -> Principal:
        """Who asks: a token's owner, the local operator, or a browser that asks for a page."""
        authorization = headers.get("authorization", "")
        from_browser = None if authorization else await self.door.principal(scope, headers)
        if from_browser is not None and scope["igla.is_session"]:
            return from_browser
        try:
            return await self.credentials.principal(authorization, address_of(scope))
        except Unauthorized:
            if from_browser is None:
                raise
            return from_browser

    def challenge(self, refusal: Refusal, scope: Scope, *, given: bool) -> dict[str, str]:
        """What a 401 says beside its body."""
        if refusal.status != 401:
            return {}
        scopes = self.needs.get(scope["path"], ("read",))
        return {"WWW-Authenticate": challenge(refusal, scope, self.runtime.settings, scopes, given=given)}


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


def address_of(scope: Scope) -> str:
    """Where the request comes from; uvicorn has put in what a proxy says that the operator trusts."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def check_origin(headers: dict[str, str], hosts: list[str]) -> None:
    """Refuse a Host that is not ours and a browser's request from another site (DNS rebinding)."""
    if without_port(headers.get("host", "")).lower() not in hosts:
        raise WrongOrigin("The Host header is not one of this server's names.")
    origin = headers.get("origin")
    if origin is None:
        return
    if without_port(netloc_of(origin)).lower() not in hosts:
        raise WrongOrigin("The Origin header is not one of this server's names.")
    if is_neighbour(origin.lower(), headers["host"].lower()):
        raise WrongOrigin("The Origin header is another server of this machine.")


READ = {name.encode(): name for name in ("host", "origin", "content-length", "authorization", "cookie")}
"""Headers that the gate reads."""


def read_headers(scope: Scope) -> dict[str, str]:
    """Those headers of a request, and no others: this happens at every call. Names come in lower case (ASGI)."""
    return {READ[key]: value.decode("latin-1") for key, value in scope["headers"] if key in READ}


def is_neighbour(origin: str, host: str) -> bool:
    """Whether a page of another port of the same name asks. A Host without a port may have lost it at a proxy. Pure."""
    scheme, _, asking = origin.partition("://")
    usual = "443" if scheme == "https" else "80"
    name, own = without_port(asking), host[len(without_port(host)) :].removeprefix(":")
    port = asking[len(name) :].removeprefix(":") or usual
    return bool(own) and name == without_port(host) and port != own


def netloc_of(origin: str) -> str:
    """Host and port of an Origin; empty where it is no address."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


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


def refused(refusal: Refusal, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """A refusal as HTTP: its status, code, message and next step."""
    body = {"code": refusal.code, "message": refusal.message, "next_step": refusal.next_step}
    return JSONResponse(body, status_code=refusal.status, headers={**refusal.headers, **(headers or {})})
