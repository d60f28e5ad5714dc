"""igla's own MCP server, with what the official conformance suite expects beside igla's tools, on a port of its own.

    python -m tests.conformance.served PORT

The factory, the settings, the shell around every request and the store are those of `igla serve`.
"""

import socket
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import uvicorn
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity

from server.app import create_app, parts
from server.mcp import mcp_server
from server.runtime import open_runtime
from server.settings import Settings
from tests.conformance.older import add_older
from tests.conformance.reading import COMPLETERS, GUIDES, SOURCES
from tests.conformance.tasks import TASKS
from tests.conformance.tools import TOOLS

LONG_ENOUGH = b"conformance fixtures share no secret"


def fixtures(runtime):
    """The server that the suite is run against."""
    own = parts(runtime)
    more = replace(
        own,
        tools=dict(sorted({**own.tools, **TOOLS, **TASKS}.items())),
        sources={**own.sources, **SOURCES},
        guides={**own.guides, **GUIDES},
        completers={**own.completers, **COMPLETERS},
    )
    server = mcp_server(more)
    sealed = RequestStateSecurity(keys=[LONG_ENOUGH])
    server.middleware.append(RequestStateBoundary(sealed, default_audience="igla"))
    add_older(server)
    return server


def main(port):
    with tempfile.TemporaryDirectory() as data, socket.create_server(("127.0.0.1", port)) as listening:
        runtime = open_runtime(Settings(data=Path(data), port=port, legacy_sessions=True))
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
        print(f"conformance fixtures at {address}", file=sys.stderr, flush=True)  # noqa: T201
        config = uvicorn.Config(create_app(runtime, fixtures(runtime)), http="h11", log_level="warning")
        uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main(int(sys.argv[1]))
