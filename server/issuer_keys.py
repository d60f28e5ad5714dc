"""Issuer's keys: the public keys of the operator's authorization server, fetched from where its settings say only."""

import asyncio
import json
import math
import time
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx
import structlog

from errors import Refusal
from server.settings import Settings

log = structlog.get_logger()

FRESH, STALE = 600.0, 3600.0
"""Seconds after which keys are fetched again, and after which old ones do not count any more where that fails."""

FLOOR = 10.0
"""Seconds between two fetches, whatever key ids strangers think up."""

TIMEOUT = 5.0
LARGEST = 256 * 1024
"""Bytes of a document of the issuer."""

KINDS = ("RSA", "EC", "OKP")
"""Kinds of keys that have a public half."""

Key = Mapping[str, Any]
"""A JSON Web Key (RFC 7517)."""


class IssuerUnreachable(Refusal):
    """Send the call again soon; operators look whether the authorization server answers."""

    code = "issuer_unreachable"
    status = 503

    @property
    def headers(self) -> dict[str, str]:
        """When to ask again."""
        return {"Retry-After": f"{FLOOR:.0f}"}


def choice(
    *, known: bool, age: float, since_try: float, failed: bool
) -> Literal["use", "fetch", "unknown", "unreachable"]:
    """What to do about a key. Pure.

    known: it is among the keys; age: seconds since they came; since_try: since the last fetch; failed: how that ended.
    """
    if since_try >= FLOOR and (not known or age > FRESH):
        return "fetch"
    if age > STALE or (failed and not known):
        return "unreachable"
    return "use" if known else "unknown"


class IssuerKeys:
    """The keys by id, kept for a while. One fetch at a time, whoever waits for it: not who has a key that counts."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.keys: dict[str, Key] = {}
        self.came = self.tried = -math.inf
        self.failed = False
        self.fetching = asyncio.Lock()
        self.refreshing: asyncio.Task[None] | None = None

    async def find(self, kid: str | None) -> Key | None:
        """The key of this id; without an id, the only one. None: there is no such key. Raises IssuerUnreachable."""
        if self.choice(kid) == "fetch":
            if self.among(kid) is not None and time.monotonic() - self.came <= STALE:
                self.refresh(kid)  # nobody waits for news of a key that counts still
            else:
                await self.fetched(kid)
        if self.choice(kid) == "unreachable":
            raise IssuerUnreachable("The authorization server's keys cannot be had.")
        return self.among(kid)

    def refresh(self, kid: str | None) -> None:
        """Fetch beside the calls, once at a time."""
        if self.refreshing is None or self.refreshing.done():
            self.refreshing = asyncio.create_task(self.fetched(kid))

    async def fetched(self, kid: str | None) -> None:
        """Fetch, unless somebody just did."""
        async with self.fetching:
            if self.choice(kid) == "fetch":
                await self.fetch()

    def choice(self, kid: str | None) -> str:
        """What to do now."""
        now = time.monotonic()
        known = self.among(kid) is not None
        return choice(known=known, age=now - self.came, since_try=now - self.tried, failed=self.failed)

    def among(self, kid: str | None) -> Key | None:
        """The key, among those that are here."""
        if kid is None:
            return next(iter(self.keys.values())) if len(self.keys) == 1 else None
        return self.keys.get(kid)

    async def fetch(self) -> None:
        """Fetch the keys; those that are here stay where that fails."""
        try:
            async with httpx.AsyncClient(timeout=TIMEOUT, follow_redirects=False) as http:
                url = self.settings.oauth_jwks_url or await self.discovered(http)
                self.keys = keys_of(await document(http, url))
            self.came, self.failed = time.monotonic(), False
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, RecursionError) as error:
            self.failed = True
            log.warning("issuer_unreachable", reason=type(error).__name__)
        self.tried = time.monotonic()

    async def discovered(self, http: httpx.AsyncClient) -> str:
        """Where the issuer's metadata says that its keys are (RFC 8414, or OpenID Connect)."""
        for url in metadata_urls(self.settings.oauth_issuer):
            try:
                found = await document(http, url)
            except (httpx.HTTPStatusError, ValueError):
                continue
            if isinstance(found, dict) and found.get("issuer") == self.settings.oauth_issuer:
                return secure(found.get("jwks_uri"))
        raise ValueError("no metadata of this issuer")


def metadata_urls(issuer: str) -> list[str]:
    """Where an issuer's metadata may be."""
    parts = urlsplit(issuer)
    at, path = f"{parts.scheme}://{parts.netloc}/.well-known", parts.path.rstrip("/")
    joined = f"{parts.scheme}://{parts.netloc}{path}"
    return [f"{at}/oauth-authorization-server{path}", f"{joined}/.well-known/openid-configuration"]


def secure(url: object) -> str:
    """An address that nobody on the way can change. Raises ValueError."""
    if not isinstance(url, str) or not is_secure(url):
        raise ValueError("an address must be https")
    return url


def is_secure(url: str) -> bool:
    """Whether it is https, or on this machine."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    local = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1")
    return bool(parts.hostname) and (parts.scheme == "https" or local)


async def document(http: httpx.AsyncClient, url: str) -> Any:
    """A JSON document of limited size."""
    body = b""
    async with http.stream("GET", url, headers={"Accept": "application/json"}) as answer:
        if answer.status_code != 200:
            raise httpx.HTTPStatusError(f"status {answer.status_code}", request=answer.request, response=answer)
        async for block in answer.aiter_bytes():
            body += block
            if len(body) > LARGEST:
                raise ValueError("the document is too large")
    return json.loads(body)


def keys_of(found: Any) -> dict[str, Key]:
    """The keys that sign, by id; one without an id has the empty one. Raises ValueError."""
    listed = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(listed, list):
        raise ValueError("no JSON Web Key Set")
    fit = [one for one in listed if isinstance(one, dict) and one.get("kty") in KINDS]
    return {str(one.get("kid", "")): one for one in fit if one.get("use", "sig") == "sig"}
