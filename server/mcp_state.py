"""Request state: what a server of the newer era hands a client to bring back, sealed so that any replica opens it.

The SDK's own default is a key that one process makes for itself: an answer that reaches another replica, or the same
one after a restart, would be refused. Here every process of one database has the same keys, and the state is bound to
the principal whose call it belongs to.
"""

from collections.abc import Sequence
from typing import Any

from mcp.server.lowlevel import Server
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity

from db import secrets
from errors import InvalidValue
from server.mcp_parts import Parts
from server.runtime import Runtime, utc_now

SHORTEST = 32
"""Characters of a key at least."""


def state_keys(runtime: Runtime) -> list[str]:
    """The operator's keys, the first of which seals; without any, the one that all processes of the database share."""
    given = runtime.settings.state_keys
    words = given.get_secret_value().split(",") if given is not None else []
    keys = [key for word in words if (key := word.strip())]
    if any(len(key) < SHORTEST for key in keys):
        raise InvalidValue(f"IGLA_STATE_KEYS: each key needs {SHORTEST} characters; `openssl rand -hex 32` makes one.")
    if keys:
        return keys
    with runtime.store.transaction() as session:
        return [secrets.shared(session, "request state", utc_now())]


def seal_state(server: Server[dict[str, Any]], parts: Parts, keys: Sequence[str]) -> None:
    """Let a server seal what its tools hand out to be brought back, and open it again for the same principal only."""
    security = RequestStateSecurity(keys=keys, bind_principal=lambda ctx: parts.context_for(ctx.request).principal)
    server.middleware.append(RequestStateBoundary(security, default_audience=server.name))
