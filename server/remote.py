"""The server as a remote worker sees it: tools and artifacts over HTTP, tried again with growing, random pauses."""

import hashlib
import os
import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import httpx

from errors import Refusal, refusal
from training.artifacts import ArtifactFolder

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds: the longest pause after the first failed try, and after many."""

PART = 16 * 1024 * 1024
"""Bytes of a checkpoint that are sent at once: what a broken connection may cost."""

PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that another try may do away with, unless the answer is a refusal with its code."""

Answer = TypeVar("Answer")


class Unreachable(Refusal):
    """Look whether the server runs and the address is right; the worker has tried again for as long as it may."""

    code = "unreachable"
    status = 503


class Passing(Exception):
    """A failure that another try may do away with."""


def backoff(attempt: int, chance: random.Random) -> float:
    """Seconds to wait after the attempt-th failure in a row: anything up to a bound that doubles. Pure but for chance.

    Many workers that lost one server do not come back at one moment ("full jitter").
    """
    return chance.uniform(0, min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(attempt, 16)))


class Remote:
    """A server at the other end of an HTTP client that carries address and token.

    wait: pauses and tells whether the worker shall stop. patience: seconds that a call is tried for.
    """

    def __init__(
        self, http: httpx.Client, chance: random.Random, wait: Callable[[float], bool], patience: float = 300.0
    ) -> None:
        self.http, self.chance, self.wait, self.patience = http, chance, wait, patience

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """A tool's result. Raises its refusal, and Unreachable."""
        answered: dict[str, Any] = self.persist(lambda: self.once("POST", f"/api/{tool}", json=arguments)).json()
        return answered

    def fetch(self, digest: str, folder: ArtifactFolder) -> None:
        """Bring an artifact into a folder, checked; one that is there is left alone."""
        if digest in folder:
            return
        folder.root.mkdir(parents=True, exist_ok=True)
        part = folder.root / f"{digest}-{os.getpid()}.part"
        self.persist(lambda: self.download(digest, part))
        folder.take(part, digest)

    def download(self, digest: str, part: Path) -> None:
        """Go on with a download and check it. A file that turns out wrong is dropped and tried again."""
        start = part.stat().st_size if part.exists() else 0
        headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={start}-"} if start else {})}
        try:
            with self.http.stream("GET", f"/artifacts/{digest}", headers=headers) as answer:
                if answer.status_code != 416:
                    checked(answer)
                    with part.open("ab" if answer.status_code == 206 else "wb") as file:
                        for block in answer.iter_bytes():
                            file.write(block)
        except httpx.TransportError as error:
            raise Passing(type(error).__name__) from error
        with part.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == digest:
                return
        part.unlink()
        raise Passing("what came has another digest")

    def upload(self, digest: str, folder: ArtifactFolder) -> None:
        """Bring a checkpoint from a folder to the server, part by part, from where it stands."""
        size = folder.size(digest)
        while (start := self.persist(lambda: self.offset(digest))) is not None:
            blocks = list(folder.blocks(digest, start, min(size, start + PART)))
            body = b"".join(blocks)
            extent = f"bytes {start}-{start + len(body) - 1}/{size}"
            self.persist(lambda body=body, extent=extent: self.send(digest, body, extent))  # type: ignore[misc]

    def offset(self, digest: str) -> int | None:
        """How many bytes the server has of an upload; None when it has the artifact."""
        answer = self.once("HEAD", f"/artifacts/{digest}", also=404)
        return int(answer.headers["Upload-Offset"]) if answer.status_code == 404 else None

    def send(self, digest: str, body: bytes, extent: str) -> None:
        """One part. A part that the server says it has, or half has, is no failure: the next offset tells."""
        headers = {"Content-Range": extent}
        self.once("PUT", f"/artifacts/{digest}", params={"kind": "checkpoint"}, content=body, headers=headers, also=409)

    def once(self, method: str, path: str, also: int = 0, **options: Any) -> httpx.Response:
        """One request. Raises Passing, and the server's refusal unless its status is `also`."""
        try:
            answer = self.http.request(method, path, **options)
        except httpx.TransportError as error:
            raise Passing(type(error).__name__) from error
        return answer if answer.status_code == also else checked(answer)

    def persist(self, attempt: Callable[[], Answer]) -> Answer:
        """Try until it works, for as long as patience lasts and nobody wants the worker to stop."""
        began, failed = time.monotonic(), 0
        while True:
            try:
                return attempt()
            except Passing as passing:
                failed += 1
                if time.monotonic() - began > self.patience or self.wait(backoff(failed, self.chance)):
                    raise Unreachable(f"{failed} tries, the last: {passing}.") from passing


def checked(answer: httpx.Response) -> httpx.Response:
    """The answer, if it is good. Raises the refusal that it carries, or Passing."""
    if answer.is_success:
        return answer
    answer.read()
    told = body_of(answer)
    if "code" in told and answer.status_code not in (429, 503):
        raise refusal(str(told["code"]), str(told.get("message", "")))
    if answer.status_code in PASSING:
        raise Passing(f"status {answer.status_code}")
    raise Refusal(f"The server answered {answer.status_code}.")


def body_of(answer: httpx.Response) -> Mapping[str, Any]:
    """The JSON object of an answer; an empty one where there is none."""
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
