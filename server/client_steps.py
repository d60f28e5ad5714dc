"""What a client of the server does, step by step: calls, downloads, uploads.

Each conversation is a generator: it yields what shall be done (`Send`, `Pause`, `Do`) and is sent what came of it. So
the sync client (`client_core.py`) and the async one (`client_async.py`) are one, and need httpx and errors only.
"""

import hashlib
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx

from server.client_retries import (
    AnswerLost,
    AnswerUnreadable,
    Failed,
    Policy,
    Unreachable,
    body_of,
    good,
    passing,
    pause_after,
)

PART = 16 * 1024 * 1024
"""Bytes of a file that are sent at once: what a broken connection may cost."""

Answer = TypeVar("Answer")


@dataclass(frozen=True, kw_only=True)
class Send:
    """Send a request. file: where the body of a good answer is appended (206) or written (200)."""

    method: str
    path: str
    json: Any = None
    content: bytes | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float | None = None
    file: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Pause:
    """Wait. The answer is True where the caller shall not try again."""

    seconds: float


@dataclass(frozen=True, kw_only=True)
class Do:
    """Call a function that takes a while: it reads a disk."""

    function: Callable[[], Any]


Steps = Generator[Send | Pause | Do, Any, Answer]
"""A conversation that ends with an answer."""


def called(tool: str, arguments: Mapping[str, Any], policy: Policy, *, idempotent: bool, wait: float) -> Steps[Any]:
    """A tool's result. wait: seconds that the tool itself may take. Raises Refused, Unreachable, AnswerLost."""
    send = Send(method="POST", path=f"/api/{tool}", json=dict(arguments), seconds=wait + 30.0 if wait else None)
    repeatable = idempotent or tool in policy.repeat
    response = yield from persistent(partial(same, send), policy, repeatable=repeatable)
    body = body_of(response)
    if body is None:
        raise AnswerUnreadable(f"The answer to {tool} is no JSON object.")
    return body


def downloaded(digest: str, file: Path, policy: Policy) -> Steps[None]:
    """Bring an artifact to a file, going on where a download broke off. A file that turns out wrong is fetched anew."""

    def ask() -> Send:
        start = file.stat().st_size if file.exists() else 0
        headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={start}-"} if start else {})}
        return Send(method="GET", path=f"/artifacts/{digest}", headers=headers, file=file)

    began = policy.clock()
    for failures in range(1, 1_000_000):
        yield from persistent(ask, policy, repeatable=True, also=(416,))
        if (yield Do(function=lambda: digest_of(file))) == digest:
            return
        file.unlink()
        wrong = Failed(reason="what came has another digest")
        yield from rest(wrong, failures, policy.clock() - began, policy, repeatable=True)


def uploaded(digest: str, size: int, read: Callable[[int, int], bytes], kind: str, policy: Policy) -> Steps[None]:
    """Bring an artifact to the server, part by part, from where it stands. read: its bytes from start to stop."""
    path, before = f"/artifacts/{digest}", -1
    asked = Send(method="HEAD", path=path)
    while True:
        head = yield from persistent(partial(same, asked), policy, repeatable=True, also=(404,))
        if head.status_code != 404:
            return
        start = int(head.headers.get("Upload-Offset", "-1"))
        if start < 0:
            raise AnswerUnreadable("The server says not where the upload stands.")
        body: bytes = yield Do(function=partial(read, start, min(size, start + PART)))
        part = Send(
            method="PUT",
            path=path,
            params={"kind": kind},
            content=body,
            headers={"Content-Range": f"bytes {start}-{start + len(body) - 1}/{size}"} if size else {},
        )
        also = (409,) if start != before else ()  # it has the part, or half of it: the next offset tells; but not twice
        yield from persistent(partial(same, part), policy, repeatable=True, also=also)
        before = start


def persistent(
    ask: Callable[[], Send], policy: Policy, *, repeatable: bool, also: tuple[int, ...] = ()
) -> Steps[httpx.Response]:
    """Try until there is a good answer, or one whose status is among `also`. Raises what stands in the way."""
    began, failures = policy.clock(), 0
    while True:
        outcome: httpx.Response | Failed = yield ask()
        if isinstance(outcome, httpx.Response) and outcome.status_code in also:
            return outcome
        failed = outcome if isinstance(outcome, Failed) else passing(outcome)
        if failed is None:
            assert isinstance(outcome, httpx.Response)
            return good(outcome)
        failures += 1
        yield from rest(failed, failures, policy.clock() - began, policy, repeatable=repeatable)


def rest(failed: Failed, failures: int, elapsed: float, policy: Policy, *, repeatable: bool) -> Steps[None]:
    """Pause before the next try. Raises Unreachable or AnswerLost where there shall be none."""
    pause = pause_after(failed, failures, elapsed, policy, repeatable=repeatable)
    if pause is None or (yield Pause(seconds=pause)):
        if failed.told is not None:
            raise failed.told
        if failed.sent and not repeatable:
            raise AnswerLost(f"The connection broke: {failed.reason}.")
        raise Unreachable(f"{failures} tries, the last: {failed.reason}.")


def same(send: Send) -> Send:
    """A request that is the same at every try."""
    return send


def digest_of(file: Path) -> str:
    """The SHA-256 of a file."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
