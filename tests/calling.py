"""A whole web application in this process, called over its real HTTP client, without a lifespan."""

import asyncio
from contextlib import contextmanager

import httpx

from db import tokens
from server.app import create_app
from server.runtime import open_runtime
from server.settings import Settings


class Caller:
    """Sends requests to an application, one after the other."""

    def __init__(self, runtime):
        self.runtime = runtime
        self.app = create_app(runtime)
        self.loop = asyncio.new_event_loop()

    def request(self, method, path, token=None, *, address="10.0.0.1", headers=None, base="http://localhost", **more):
        bearer = {"Authorization": f"Bearer {token}"} if token is not None else {}
        return self.loop.run_until_complete(
            self.sent(base, address, method=method, url=path, headers={**bearer, **(headers or {})}, **more)
        )

    async def sent(self, base, address, **request):
        transport = httpx.ASGITransport(self.app, client=(address, 1), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=base) as client:
            return await client.request(**request)

    def get(self, path, token=None, **more):
        return self.request("GET", path, token, **more)

    def call(self, tool, token=None, *, sent=None, **arguments):
        return self.request("POST", f"/api/{tool}", token, json=arguments, **(sent or {}))

    def token(self, name, *scopes):
        """The secret of a new token."""
        with self.runtime.store.transaction() as session:
            return tokens.create(session, name, scopes, self.runtime.context().now)[0]


@contextmanager
def calling(folder, **settings):
    """An application over a new store."""
    runtime = open_runtime(Settings(data=folder, **settings))
    caller = Caller(runtime)
    try:
        yield caller
    finally:
        caller.loop.run_until_complete(caller.loop.shutdown_default_executor())
        caller.loop.close()
        runtime.store.close()
