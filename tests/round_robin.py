"""A small HTTP proxy for tests: requests go to its servers in turns, and no client stays with one of them.

As the proxies of hosting platforms do, it passes over a server that does not take a connection, and answers 502 where
one broke after the request was sent: whether that can be sent again is the client's to know.
"""

import socket
import threading
from contextlib import contextmanager
from itertools import cycle

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}


class RoundRobin:
    """The proxy's handler. broken: requests so far whose server went away under them."""

    def __init__(self, servers):
        self.servers = servers
        self.turns = cycle(servers)
        self.broken = 0
        limits = httpx.Limits(max_keepalive_connections=0)
        self.client = httpx.AsyncClient(timeout=120, limits=limits)

    async def forward(self, request):
        body = await request.body()
        headers = [(name, value) for name, value in request.headers.items() if name not in HOP]
        for _ in self.servers:
            url = next(self.turns) + request.url.path
            sent = self.client.build_request(request.method, url, content=body, headers=headers)
            try:
                answer = await self.client.send(sent, stream=True)
            except httpx.ConnectError:
                continue
            except httpx.TransportError:
                break
            kept = {name: value for name, value in answer.headers.items() if name not in HOP}
            closing = BackgroundTask(answer.aclose)
            return StreamingResponse(self.passed_on(answer), answer.status_code, kept, background=closing)
        self.broken += 1
        return Response(status_code=502)

    async def passed_on(self, answer):
        """The answer's bytes; where they break off, so does the client's connection."""
        try:
            async for block in answer.aiter_raw():
                yield block
        except httpx.TransportError:
            self.broken += 1
            raise


@contextmanager
def round_robin(*servers):
    """Run it before these addresses; gives its own address and the handler."""
    handler = RoundRobin(servers)
    routes = [Route("/{path:path}", handler.forward, methods=["GET", "HEAD", "POST", "PUT", "DELETE"])]
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_level="critical"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}", handler
        finally:
            server.should_exit = True
            thread.join()
