"""Edge: the outermost ASGI shell. Gives every request an id, which its answer, its log lines and its jobs carry.

It also knows who waits for an answer when the server is to end, and ends streams so that their readers see an end.
"""

import asyncio
import re
from contextlib import nullcontext
from uuid import uuid4

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars

from db.redaction import Redactor
from server.draining import Draining
from server.metrics import Metrics, presents
from server.tracing import callers_trace

HEADER = b"x-request-id"
ACCEPTED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
"""What a request id of somebody else may look like; another one is replaced."""


class Edge:
    """ASGI shell around everything else. redact: an id that has a secret in it is not taken either.

    Who scrapes with the token that is for nothing else is answered here: to the rest of the server it is no token.
    """

    def __init__(self, app: ASGIApp, redact: Redactor, metrics: Metrics, draining: Draining) -> None:
        self.app = app
        self.redact = redact
        self.metrics = metrics
        self.draining = draining
        settings = metrics.runtime.settings
        self.traced, self.token = settings.otel, settings.metrics_token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the id of the request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = request_id_of(scope, self.redact)
        scope["igla.request_id"] = request_id
        bind_contextvars(request_id=request_id)
        answering = Answering(send, (HEADER, request_id.encode()), self.draining, is_get=scope["method"] == "GET")
        scope["igla.answering"] = answering
        self.draining.waiting += 1
        try:
            with callers_trace(scope) if self.traced else nullcontext():
                await self.answer(scope, receive, answering)
        except asyncio.CancelledError:
            if not (answering.is_stream and (answering.is_cut or self.draining.closing.is_set())):
                raise
            await answering.end()
        finally:
            answering.over()

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on."""
        if scope["path"] == "/metrics" and self.token and presents(scope, self.token.get_secret_value()):
            accept = dict(scope["headers"]).get(b"accept", b"").decode("latin-1")
            text, content_type = await asyncio.to_thread(self.metrics.answer, accept)
            await Response(text, media_type=content_type)(scope, receive, send)
            return
        await self.app(scope, receive, send)


class Answering:
    """Sends an answer with the request's id, and keeps count of it: a stream that a GET opened is not waited for."""

    def __init__(self, send: Send, header: tuple[bytes, bytes], draining: Draining, *, is_get: bool) -> None:
        self.send, self.header, self.draining, self.is_get = send, header, draining, is_get
        self.task = asyncio.current_task()
        self.is_stream, self.is_waited_for, self.is_cut = False, True, False

    async def __call__(self, message: Message) -> None:
        """One message of the answer."""
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            if (b"content-type", b"text/event-stream") in [(name, value[:17]) for name, value in headers]:
                self.stream()
            message = {**message, "headers": [*headers, self.header]}
        await self.send(message)

    def stream(self) -> None:
        """The answer is a stream: it is cut at the end of the server."""
        assert self.task is not None
        self.is_stream = True
        self.draining.streams.add(self.task)
        if self.is_get:
            self.over(cut=True)

    def over(self, *, cut: bool = False) -> None:
        """Nobody waits for this answer any more. cut: but it is still a stream."""
        if self.is_waited_for:
            self.is_waited_for = False
            self.draining.waiting -= 1
        if self.is_stream and not cut:
            assert self.task is not None
            self.draining.streams.discard(self.task)

    def cut(self) -> None:
        """End the stream at once: its caller is not let in any more."""
        assert self.task is not None
        self.is_cut = True
        self.task.cancel()

    async def end(self) -> None:
        """The end of a stream that was cut."""
        assert self.task is not None
        self.task.uncancel()
        await self.send({"type": "http.response.body", "body": b"", "more_body": False})


def request_id_of(scope: Scope, redact: Redactor) -> str:
    """The id that the caller gave, if it is one; else a new one."""
    for name, value in scope["headers"]:
        if name == HEADER:
            given: str = value.decode("latin-1")
            if ACCEPTED.fullmatch(given) and redact(given) == given:
                return given
            break
    return str(uuid4())
