"""OAuth: access tokens of the operator's authorization server (JWT, RFC 9068), checked here and passed on to nobody."""

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import jwt

from db.tokens import FOREIGN, SCOPES, Principal
from server.issuer_keys import IssuerKeys, Key
from server.settings import Settings

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures with a public key. `none` and the HS family are no proof: their key would be public, or ours."""

TYPES = ("jwt", "at+jwt", "application/at+jwt")
LEEWAY = 30.0
"""Seconds by which two clocks may differ."""

LONGEST = 8192
"""Characters of a token."""

CHECKS: Any = {"require": ["exp", "iss", "aud", "sub"], "enforce_minimum_key_length": True}
SUBJECT = re.compile(r"[A-Za-z0-9._@|:+-]{1,128}")
BROKEN = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError)


class Issuer:
    """The authorization server whose tokens count."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.keys = IssuerKeys(settings)

    async def principal(self, token: str) -> tuple[Principal | None, datetime | None]:
        """The principal of a token and the moment at which it ends; None for one that does not count.

        Raises IssuerUnreachable where that cannot be known.
        """
        if (header := header_of(token)) is None:
            return None, None
        key = await self.keys.find(header.get("kid"))
        claims = None if key is None else claims_of(token, header, key, self.settings)
        if claims is None:
            return None, None
        return principal_of(claims, token, self.settings), end_of(claims)


def looks_like_jwt(secret: str) -> bool:
    """Whether it has the three parts of a JWT; our own tokens have no dot."""
    return secret.count(".") == 2


def header_of(token: str) -> dict[str, Any] | None:
    """The header of a token that may count, unverified."""
    if len(token) > LONGEST:
        return None
    try:
        header = jwt.get_unverified_header(token)
    except BROKEN:
        return None
    named = isinstance(header.get("kid", ""), str)
    fits = header.get("alg") in ALGORITHMS and str(header.get("typ", "jwt")).lower() in TYPES
    return header if named and fits else None


def claims_of(token: str, header: Mapping[str, Any], key: Key, settings: Settings) -> dict[str, Any] | None:
    """What the token says, if the key signed it for us and its time is now. The algorithm is the key's, if it has one.

    The audience is checked (RFC 8707): a token that was made for another service opens nothing here.
    """
    try:
        public = jwt.PyJWK(dict(key), None if "alg" in key else str(header["alg"]))
        claims: dict[str, Any] = jwt.decode(
            token, public, algorithms=ALGORITHMS, audience=settings.audiences, issuer=settings.oauth_issuer,
            leeway=LEEWAY, options=CHECKS,
        )  # fmt: skip
    except BROKEN:
        return None
    return claims


def principal_of(claims: Mapping[str, Any], token: str, settings: Settings) -> Principal:
    """Who a checked token speaks for: its subject under its issuer, a name that no token of ours can have. Pure."""
    subject = str(claims["sub"])
    if not SUBJECT.fullmatch(subject):
        subject = "#" + hashlib.sha256(subject.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    name = f"{FOREIGN}{urlsplit(settings.oauth_issuer).hostname}:{subject}"
    credential = "jwt_" + hashlib.sha256(token.encode()).hexdigest()[:12]
    return Principal(name=name, scopes=scopes_of(claims, settings.oauth_scope_prefix), credential=credential)


def scopes_of(claims: Mapping[str, Any], prefix: str) -> frozenset[str]:
    """Our scopes among those of a token: texts in `scope` or `scp` that begin with the prefix. Pure."""
    said: list[Any] = []
    for one in (claims.get("scope"), claims.get("scp")):
        said += one.split() if isinstance(one, str) else one if isinstance(one, list) else []
    ours = {text.removeprefix(prefix) for text in said if isinstance(text, str) and text.startswith(prefix)}
    return frozenset(ours & set(SCOPES))


def end_of(claims: Mapping[str, Any]) -> datetime:
    """When a token ends; one that lasts longer is looked at again within a day."""
    now = datetime.now(UTC)
    return now + timedelta(seconds=min(86_400.0, float(claims["exp"]) + LEEWAY - now.timestamp()))
