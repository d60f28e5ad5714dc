"""Credentials: the principal behind a request's Authorization header, remembered for a few seconds."""

import asyncio
import hashlib
import hmac
import math
import time
from datetime import datetime

import structlog
from sqlalchemy.exc import SQLAlchemyError

from db import tokens
from db.tokens import ADMIN, LOCAL, Principal
from errors import Refusal
from server.limits import Addresses, Counter, limit_of
from server.oauth import Issuer, looks_like_jwt
from server.runtime import Runtime, utc_now

log = structlog.get_logger()

REMEMBER_SECONDS = 5.0
"""A token's answer is remembered this long, so a revocation is effective within it."""

MOST_REMEMBERED = 1000
"""Answers that are kept; then all are forgotten, so that random secrets fill no memory."""


class Unauthorized(Refusal):
    """Send `Authorization: Bearer <token>`; an operator makes tokens with `igla token create`."""

    code = "unauthorized"
    status = 401


class Credentials:
    """Finds principals. Without any token, and bound to loopback, everybody who can connect is the local operator."""

    def __init__(self, runtime: Runtime, addresses: Addresses) -> None:
        self.runtime = runtime
        self.addresses = addresses
        self.remembered: dict[bytes, tuple[float, Principal | None]] = {}
        self.tokens_exist = (-math.inf, False)
        self.issuer = Issuer(runtime.settings) if runtime.settings.oauth_issuer else None

    async def principal(self, authorization: str, address: str) -> Principal:
        """The caller's name and scopes. Raises Unauthorized, RateLimited and IssuerUnreachable."""
        kind, _, secret = authorization.partition(" ")
        if not authorization:
            if self.runtime.settings.is_loopback and not await self.closed():
                return LOCAL
            raise Unauthorized("No token came with the request.")
        secret = secret.strip() if kind.lower() == "bearer" else ""
        found = await self.verify(secret, address)
        if found is None:
            self.failed(address)
            raise Unauthorized("The token is unknown, expired or revoked.")
        return found

    def failed(self, address: str) -> None:
        """Count a wrong secret of an address. Raises RateLimited where there were too many."""
        self.addresses.refuse(address, cost=1)

    async def verify(self, secret: str, address: str) -> Principal | None:
        """The principal of a token, remembered under the token's hash until its end, for a few seconds at most.

        From an address that was wrong too often only tokens that were right before are looked at (RateLimited).
        """
        key = hashlib.sha256(secret.encode()).digest()
        until, found = self.remembered.get(key, (-math.inf, None))
        if time.monotonic() >= until:
            if found is None:
                self.addresses.refuse(address, cost=0)
            found, ends_at = await self.look_up(secret)
            if len(self.remembered) >= MOST_REMEMBERED:
                self.remembered.clear()
            self.remembered[key] = (time.monotonic() + self.seconds(ends_at), found)
        return found

    def seconds(self, ends_at: datetime | None) -> float:
        """How long an answer may be remembered."""
        left = math.inf if ends_at is None else (ends_at - utc_now()).total_seconds()
        return min(REMEMBER_SECONDS, left)

    async def look_up(self, secret: str) -> tuple[Principal | None, datetime | None]:
        """The principal of a token and the moment at which it ends: the operator's, the issuer's word, the store's."""
        admin = self.runtime.settings.admin_token
        if admin and hmac.compare_digest(secret.encode(), admin.get_secret_value().encode()):
            return ADMIN, None
        if self.issuer is not None and looks_like_jwt(secret):
            return await self.issuer.principal(secret)
        found = await asyncio.to_thread(self.stored, secret)
        if found is None:
            return None, None
        if tokens.is_due(found.last_used_at, utc_now()):
            asyncio.get_running_loop().run_in_executor(None, self.note_use, found.principal.credential)
        return found.principal, found.expires_at

    def stored(self, secret: str) -> tokens.Found | None:
        """What the store knows of a token of this server's own."""
        with self.runtime.store.reading() as session:
            return tokens.look_up(session, secret, utc_now())

    def note_use(self, prefix: str) -> None:
        """Note that a token was used. Nobody waits for it, and a call is not refused because it failed."""
        try:
            with self.runtime.store.transaction() as session:
                tokens.used(session, prefix, utc_now())
        except SQLAlchemyError as error:
            log.warning("token_use_not_noted", token=prefix, reason=type(error).__name__)

    async def closed(self) -> bool:
        """Whether a token is needed on loopback too: as soon as one exists."""
        if self.runtime.settings.admin_token is not None or self.runtime.settings.oauth_issuer:
            return True
        since, exists = self.tokens_exist
        if time.monotonic() - since > REMEMBER_SECONDS:
            self.tokens_exist = (time.monotonic(), exists or await asyncio.to_thread(self.any_token))
        return self.tokens_exist[1]

    def any_token(self) -> bool:
        """Whether the store has a token."""
        with self.runtime.store.reading() as session:
            return tokens.any_exists(session)


def credentials_of(runtime: Runtime, counter: Counter) -> Credentials:
    """Those of a web process."""
    return Credentials(runtime, Addresses(counter, limit_of(runtime.settings.rate_failures)))
