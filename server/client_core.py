"""The sync driver of `server/client_steps.py`: what a client is besides its tools, over httpx."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from server.address import address
from server.client_reading import plain, read
from server.client_retries import Failed, Policy, Refused
from server.client_steps import Pause, Send, Steps, called, digest_of, downloaded, uploaded

TIMEOUT = httpx.Timeout(60.0, connect=10.0)
CALL_SECONDS = 45.0
"""Longest wait of one call where many make a long one: proxies cut silent connections after a minute."""

RUNNING = "chunk_running"
"""Code of the refusal that asks to call again."""

NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
"""Failures before the server heard anything."""

Result = TypeVar("Result")


def options(url: str, token: str | None) -> dict[str, Any]:
    """What an httpx client is made with. The token travels in a header."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return {"base_url": address(url), "headers": headers, "timeout": TIMEOUT}


def request(send: Send) -> dict[str, Any]:
    """A step as httpx takes it."""
    timeout = TIMEOUT if send.seconds is None else httpx.Timeout(send.seconds, connect=10.0)
    body = {"json": send.json} if send.json is not None else {"content": send.content}
    parts = {"method": send.method, "url": send.path, "params": send.params, "headers": send.headers}
    return {**parts, "timeout": timeout, **body}


def failed(error: httpx.TransportError) -> Failed:
    """A broken connection."""
    return Failed(reason=type(error).__name__, sent=not isinstance(error, NOT_SENT))


def given(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that were given, as JSON has them."""
    return {name: plain(value) for name, value in arguments.items() if value is not None}


def sleeping(seconds: float) -> bool:
    """Wait, and try again."""
    time.sleep(seconds)
    return False


class SyncCore:
    """A client over an httpx.Client that carries address and token. wait: pauses and tells whether to give up."""

    def __init__(
        self, http: httpx.Client, policy: Policy | None = None, wait: Callable[[float], bool] = sleeping
    ) -> None:
        self.http, self.policy, self.wait = http, policy or Policy(), wait

    @classmethod
    def at(cls, url: str, token: str | None = None, policy: Policy | None = None) -> Self:
        """A client of the server at an address. Use it in a `with`."""
        return cls(httpx.Client(**options(url, token)), policy)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()

    def call(self, tool: str, arguments: Mapping[str, Any], *, idempotent: bool, wait: float = 0.0) -> dict[str, Any]:
        """A tool by its name; the result as JSON has it. Raises Refused, Unreachable, AnswerLost."""
        result: dict[str, Any] = self.drive(
            called(tool, given(arguments), self.policy, idempotent=idempotent, wait=wait)
        )
        return result

    def ask(
        self, kind: type[Result], tool: str, arguments: Mapping[str, Any], *, idempotent: bool, wait: float
    ) -> Result:
        """The same with a typed result."""
        return read(kind, self.call(tool, arguments, idempotent=idempotent, wait=wait))

    def until_done(self, seconds: float, once: Callable[[float], Result]) -> Result:
        """Make a long call of short ones, each with the seconds that it may wait, for as long as it is asked to."""
        end = self.policy.clock() + seconds
        while True:
            left = end - self.policy.clock()
            try:
                return once(max(0.0, min(left, CALL_SECONDS)))
            except Refused as refused:
                if refused.code != RUNNING or left <= 0:
                    raise

    def download(self, digest: str, file: Path) -> None:
        """Bring an artifact to a file, checked. What is in the file is taken for the beginning of a broken download."""
        self.drive(downloaded(digest, file, self.policy))

    def upload(self, file: Path, kind: str = "file") -> str:
        """Bring a file to the server and give its SHA-256."""
        digest = digest_of(file)
        self.upload_parts(digest, file.stat().st_size, reader(file), kind)
        return digest

    def upload_parts(self, digest: str, size: int, parts: Callable[[int, int], bytes], kind: str) -> None:
        """Bring to the server what a function reads."""
        self.drive(uploaded(digest, size, parts, kind, self.policy))

    def drive(self, steps: Steps[Result]) -> Result:
        """Do what the steps say, to their end."""
        came: Any = None
        while True:
            try:
                step = steps.send(came)
            except StopIteration as end:
                result: Result = end.value
                return result
            if isinstance(step, Send):
                came = self.send(step)
            else:
                came = self.wait(step.seconds) if isinstance(step, Pause) else step.function()

    def send(self, step: Send) -> httpx.Response | Failed:
        """One request."""
        try:
            with self.http.stream(**request(step)) as response:
                if step.file is None or response.status_code not in (200, 206):
                    response.read()
                    return response
                with step.file.open("ab" if response.status_code == 206 else "wb") as file:
                    for block in response.iter_bytes():
                        file.write(block)
                return response
        except httpx.TransportError as error:
            return failed(error)


def reader(file: Path) -> Callable[[int, int], bytes]:
    """The bytes of a file from start to stop."""

    def parts(start: int, stop: int) -> bytes:
        with file.open("rb") as opened:
            opened.seek(start)
            return opened.read(stop - start)

    return parts
