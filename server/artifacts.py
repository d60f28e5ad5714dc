"""`PUT`, `GET` and `HEAD /artifacts/{sha256}`: files in and out, block by block, going on where a transfer stopped.

A `PUT` brings the whole file, or with `Content-Range` a part of it; `HEAD` of a file that is not whole yet tells in
`Upload-Offset` how many bytes have come. A file appears under its name when its SHA-256 is right, not before.
"""

import asyncio
from collections.abc import Mapping

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.requests import ClientDisconnect

from db import artifacts
from db.tokens import Principal
from errors import InvalidValue, Refusal
from server.auditing import call_of, noting
from server.auth import context_of
from server.gc import collect_one
from server.heldout import refuse_private
from server.ranges import Part, given, wanted
from server.runtime import Runtime, utc_now
from server.toolbox import ScopeMissing
from server.uploads import Upload
from training.artifact_kinds import kind_of
from training.artifacts import BLOCK

PATH = "/artifacts/"
TEXTS = {
    "put_artifact": "Upload a file under its SHA-256, whole or (Content-Range) a part that follows what has come.",
    "get_artifact": "The bytes of an artifact; Range is honoured.",
    "head_artifact": "Size of an artifact, or Upload-Offset of an upload that is not whole yet.",
}


class ArtifactTooLarge(Refusal):
    """Send a smaller file; the operator sets the limit with IGLA_ARTIFACT_LIMIT."""

    code = "artifact_too_large"
    status = 413


def add_artifacts(app: FastAPI, runtime: Runtime) -> None:
    """Add the routes."""

    async def put_artifact(digest: str, request: Request, kind: str = "file") -> Response:
        return await Receiver(runtime, request, digest, kind).receive()

    def get_artifact(digest: str, request: Request) -> Response:
        return send(runtime, principal_of(request, "read"), digest, request.headers)

    def head_artifact(digest: str, request: Request) -> Response:
        return describe(runtime, principal_of(request, "read"), digest)

    for function, method in ((put_artifact, "PUT"), (get_artifact, "GET"), (head_artifact, "HEAD")):
        name = function.__name__
        app.add_api_route(
            PATH + "{digest}", function, methods=[method], tags=["artifacts"], operation_id=name, summary=TEXTS[name]
        )


def principal_of(request: Request, scope: str) -> Principal:
    """The caller, who must have the scope; any scope includes `read`."""
    principal: Principal = request.scope["igla.principal"]
    if not principal.scopes & {scope, "admin"} and not (scope == "read" and principal.scopes):
        raise ScopeMissing(f"This needs the scope {scope}.", (scope,))
    return principal


def send(runtime: Runtime, principal: Principal, digest: str, headers: Mapping[str, str]) -> Response:
    """The artifact, or the part of it that a Range header asks for."""
    refuse_private(runtime, principal, digest)
    size = runtime.artifacts.size(digest)
    fresh = headers.get("if-range") in (None, etag(digest))
    part = wanted(headers.get("range") if fresh else None, size)
    extent = part or Part(start=0, stop=size, total=size)
    about = {**facts(digest), "Content-Length": str(extent.stop - extent.start)}
    if part is not None:
        about["Content-Range"] = part.header
    blocks = runtime.artifacts.blocks(digest, extent.start, extent.stop)
    return StreamingResponse(
        blocks, status_code=206 if part else 200, headers=about, media_type="application/octet-stream"
    )


def describe(runtime: Runtime, principal: Principal, digest: str) -> Response:
    """The headers of the artifact; 404 with the caller's offset where it is not whole yet."""
    refuse_private(runtime, principal, digest)
    if digest not in runtime.artifacts:
        offset = runtime.uploads.offset(digest, principal.name)
        return Response(status_code=404, headers={"Upload-Offset": str(offset)})
    size = runtime.artifacts.size(digest)
    return Response(headers={**facts(digest), "Content-Length": str(size)}, media_type="application/octet-stream")


def facts(digest: str) -> dict[str, str]:
    """Headers that every answer about an artifact carries: its bytes never change."""
    return {"ETag": etag(digest), "Accept-Ranges": "bytes", "Cache-Control": "private, max-age=31536000, immutable"}


def etag(digest: str) -> str:
    """The strong validator of an artifact."""
    return f'"{digest}"'


class Receiver:
    """One `PUT`."""

    def __init__(self, runtime: Runtime, request: Request, digest: str, kind: str) -> None:
        self.runtime, self.request, self.digest, self.kind = runtime, request, digest, kind
        self.principal = principal_of(request, kind_of(kind).scope)
        self.context = context_of(runtime, request)
        self.part = given(request.headers.get("content-range"), request.headers.get("content-length"))
        self.largest = min(runtime.settings.artifact_limit, kind_of(kind).largest)
        self.quota = None if "admin" in self.principal.scopes else runtime.settings.artifact_quota

    async def receive(self) -> Response:
        """Take the body and answer: 200 it was there, 201 it is there now, 202 a part has come."""
        if await asyncio.to_thread(self.there):
            async for _ in self.request.stream():
                pass
            return self.answer(200)
        self.refuse_size(self.part.total if self.part else 0)
        await asyncio.to_thread(self.refuse_quota)
        start = self.part.start if self.part else 0
        with self.runtime.uploads.open(self.digest, self.principal.name, start) as upload:
            try:
                await self.fill(upload)
            except ClientDisconnect:
                return self.answer(202, offset=upload.offset)  # nobody reads this; what has come stays
            except Refusal:
                upload.drop()
                raise
            if self.part and upload.offset < self.part.total:
                return self.answer(202, offset=upload.offset)
            await asyncio.to_thread(self.keep, upload)
        return self.answer(201)

    def there(self) -> bool:
        """Whether the file is held undamaged; if so, note that it was brought again."""
        if not self.runtime.artifacts.is_sound(self.digest):
            return False
        self.note(self.runtime.artifacts.size(self.digest))
        return self.digest in self.runtime.artifacts

    async def fill(self, upload: Upload) -> None:
        """Write the body down as it comes. What has come stays when the connection breaks."""
        stop = self.part.stop if self.part else self.largest
        waiting, size = [], 0
        try:
            async for block in self.request.stream():
                waiting.append(block)
                size += len(block)
                if upload.offset + size > stop:
                    self.refuse_size(upload.offset + size)
                    raise InvalidValue("More bytes came than the headers say.")
                if size >= BLOCK:
                    await asyncio.to_thread(upload.write, b"".join(waiting))
                    waiting, size = [], 0
        finally:
            upload.write(b"".join(waiting))
            upload.file.flush()

    def keep(self, upload: Upload) -> None:
        """Check a complete upload, make it an artifact and note whose it is. Raises QuotaExceeded."""
        size = upload.close_checked(self.kind)
        self.runtime.artifacts.take(upload.path, self.digest)
        try:
            self.note(size)
        except Refusal:
            collect_one(self.runtime, self.digest, utc_now())
            raise

    def note(self, size: int) -> None:
        """Note that the file was brought, and by whom. Raises QuotaExceeded."""
        told = call_of(self.context, "artifact upload", subject={"artifact": self.digest, "kind": self.kind})
        with noting(self.runtime.store, told).transaction() as session:
            artifacts.offer(
                session, self.digest, self.kind, size, utc_now(), created_by=self.principal.name, quota=self.quota
            )

    def refuse_size(self, size: int) -> None:
        """Raise ArtifactTooLarge."""
        if size > self.largest:
            raise ArtifactTooLarge(f"A {self.kind} may have {self.largest} bytes.")

    def refuse_quota(self) -> None:
        """Raise QuotaExceeded where the file would not fit beside what is held and under way."""
        more = self.runtime.uploads.reserved(self.principal.name, self.digest) + (self.part.total if self.part else 0)
        with self.runtime.store.reading() as session:
            artifacts.refuse_beyond_quota(session, self.principal.name, more, self.quota)

    def answer(self, status: int, offset: int | None = None) -> Response:
        """What came of it."""
        headers = facts(self.digest) if offset is None else {"Upload-Offset": str(offset)}
        return JSONResponse({"digest": self.digest, "kind": self.kind}, status_code=status, headers=headers)
