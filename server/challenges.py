"""Challenges: what an HTTP client is told that came without the right token (RFC 6750), and where it learns how to get
one: the protected resource's metadata (RFC 9728).

The server is one resource with two names: its own address for `/api`, artifacts and the rest, and `/mcp`.
"""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from starlette.types import Scope

from db.tokens import SCOPES
from errors import Refusal
from server.settings import Settings
from server.toolbox import ScopeMissing, Tool

WELL_KNOWN = "/.well-known/oauth-protected-resource"
METADATA = frozenset({WELL_KNOWN, f"{WELL_KNOWN}/mcp"})
"""Paths that answer without a token: who has none yet begins here."""


def add_metadata(app: FastAPI, settings: Settings) -> None:
    """Add the two documents."""

    @app.get(WELL_KNOWN, tags=["auth"], operation_id="resource_metadata")
    def resource_metadata(request: Request) -> dict[str, Any]:
        """How to get a token for this server (RFC 9728)."""
        return document(settings, base_of(request.scope, settings), "")

    @app.get(f"{WELL_KNOWN}/mcp", tags=["auth"], operation_id="mcp_resource_metadata")
    def mcp_resource_metadata(request: Request) -> dict[str, Any]:
        """How to get a token for MCP (RFC 9728)."""
        return document(settings, base_of(request.scope, settings), "/mcp")


def document(settings: Settings, base: str, path: str) -> dict[str, Any]:
    """The metadata of the resource at this path. Authorization servers stand in it only where one is set. Pure."""
    about: dict[str, Any] = {
        "resource": base + path,
        "resource_name": "igla",
        "scopes_supported": [on_the_wire(settings, scope) for scope in SCOPES],
        "bearer_methods_supported": ["header"],
    }
    return {**about, "authorization_servers": [settings.oauth_issuer]} if settings.oauth_issuer else about


def base_of(scope: Scope, settings: Settings) -> str:
    """Scheme and name under which the client knows this server: as set, or as its request, whose Host is checked, says.

    uvicorn has put X-Forwarded-Proto into the scheme where it came from a proxy that the operator trusts.
    """
    if settings.public_url:
        return settings.public_url
    host = next((value.decode("latin-1") for key, value in scope["headers"] if key == b"host"), "")
    return f"{scope.get('scheme', 'http')}://{host}"


def on_the_wire(settings: Settings, scope: str) -> str:
    """A scope as an authorization server knows it."""
    return f"{settings.oauth_scope_prefix}{scope}" if settings.oauth_issuer else scope


def scopes_needed(tools: Mapping[str, Tool]) -> dict[str, tuple[str, ...]]:
    """Path -> scopes to ask for: a tool's own; for MCP those of all tools that are offered, but the operator's."""
    asked = {f"/api/{name}": (str(tool.about["scope"]),) for name, tool in tools.items()}
    every = {scope for scopes in asked.values() for scope in scopes} - {"admin"}
    return {**asked, "/mcp": tuple(scope for scope in SCOPES if scope in every), "/events/traffic": ("admin",)}


def challenge(refusal: Refusal, scope: Scope, settings: Settings, scopes: tuple[str, ...], *, given: bool) -> str:
    """The header WWW-Authenticate of a 401 or of a 403 for want of scopes. given: whether a token came at all."""
    path = f"{WELL_KNOWN}/mcp" if scope["path"] == "/mcp" else WELL_KNOWN
    error = "insufficient_scope" if refusal.status == 403 else "invalid_token" if given else ""
    asked = " ".join(on_the_wire(settings, one) for one in scopes)
    parts = {"error": error, "resource_metadata": base_of(scope, settings) + path, "scope": asked}
    return "Bearer " + ", ".join(f'{name}="{value}"' for name, value in parts.items() if value)


def challenge_headers(refusal: Refusal, scope: Scope, settings: Settings) -> dict[str, str]:
    """What a refusal of a route adds: all scopes at once that the caller lacks."""
    if not isinstance(refusal, ScopeMissing) or not refusal.scopes:
        return {}
    return {"WWW-Authenticate": challenge(refusal, scope, settings, refusal.scopes, given=True)}
