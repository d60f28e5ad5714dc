"""The async driver of `server/client_steps.py`."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from server.client_core import CALL_SECONDS, RUNNING, failed, given, options, reader, request
from server.client_reading import read
from server.client_retries import Failed, Policy, Refused
from server.client_steps import Pause, Send, Steps, called, digest_of, downloaded, uploaded

Result = TypeVar("Result")


class AsyncCore:
    """A client over an httpx.AsyncClient that carries address and token. wait: pauses and tells whether to give up."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        policy: Policy | None = None,
        wait: Callable[[float], Awaitable[bool | None]] = asyncio.sleep,
    ) -> None:
        self.http, self.policy, self.wait = http, policy or Policy(), wait

    @classmethod
    def at(cls, url: str, token: str | None = None, policy: Policy | None = None) -> Self:
        """A client of the server at an address. Use it in an `async with`."""
        return cls(httpx.AsyncClient(**options(url, token)), policy)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.http.aclose()

    async def call(
        self, tool: str, arguments: Mapping[str, Any], *, idempotent: bool, wait: float = 0.0
    ) -> dict[str, Any]:
        """A tool by its name; the result as JSON has it. Raises Refused, Unreachable, AnswerLost."""
        result: dict[str, Any] = await self.drive(
            called(tool, given(arguments), self.policy, idempotent=idempotent, wait=wait)
        )
        return result

    async def ask(
        self, kind: type[Result], tool: str, arguments: Mapping[str, Any], *, idempotent: bool, wait: float
    ) -> Result:
        """The same with a typed result."""
        return read(kind, await self.call(tool, arguments, idempotent=idempotent, wait=wait))

    async def until_done(self, seconds: float, once: Callable[[float], Awaitable[Result]]) -> Result:
        """Make a long call of short ones, each with the seconds that it may wait, for as long as it is asked to."""
        end = self.policy.clock() + seconds
        while True:
            left = end - self.policy.clock()
            try:
                return await once(max(0.0, min(left, CALL_SECONDS)))
            except Refused as refused:
                if refused.code != RUNNING or left <= 0:
                    raise

    async def download(self, digest: str, file: Path) -> None:
        """Bring an artifact to a file, checked. What is in the file is taken for the beginning of a broken download."""
        await self.drive(downloaded(digest, file, self.policy))

    async def upload(self, file: Path, kind: str = "file") -> str:
        """Bring a file to the server and give its SHA-256."""
        digest = await asyncio.to_thread(digest_of, file)
        await self.drive(uploaded(digest, file.stat().st_size, reader(file), kind, self.policy))
        return digest

    async def drive(self, steps: Steps[Result]) -> Result:
        """Do what the steps say, to their end."""
        came: Any = None
        while True:
            try:
                step = steps.send(came)
            except StopIteration as end:
                result: Result = end.value
                return result
            if isinstance(step, Send):
                came = await self.send(step)
            elif isinstance(step, Pause):
                came = await self.wait(step.seconds)
            else:
                came = await asyncio.to_thread(step.function)

    async def send(self, step: Send) -> httpx.Response | Failed:
        """One request."""
        try:
            async with self.http.stream(**request(step)) as response:
                if step.file is None or response.status_code not in (200, 206):
                    await response.aread()
                    return response
                with step.file.open("ab" if response.status_code == 206 else "wb") as file:
                    async for block in response.aiter_bytes():
                        file.write(block)
                return response
        except httpx.TransportError as error:
            return failed(error)
