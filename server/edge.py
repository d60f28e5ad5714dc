"""Edge: the outermost ASGI shell. Gives every request an id, which its answer, its log lines and its jobs carry."""

import asyncio
import re
from contextlib import nullcontext
from uuid import uuid4

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars

from server.metrics import Metrics, presents
from server.redaction import Redactor
from server.tracing import callers_trace

HEADER = b"x-request-id"
ACCEPTED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
"""What a request id of somebody else may look like; another one is replaced."""


class Edge:
    """ASGI shell around everything else. redact: an id that has a secret in it is not taken either.

    Who scrapes with the token that is for nothing else is answered here: to the rest of the server it is no token.
    """

    def __init__(self, app: ASGIApp, redact: Redactor, metrics: Metrics) -> None:
        self.app = app
        self.redact = redact
        self.metrics = metrics
        self.traced = metrics.runtime.settings.otel
        self.token = metrics.runtime.settings.metrics_token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the id of the request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = request_id_of(scope, self.redact)
        scope["igla.request_id"] = request_id
        bind_contextvars(request_id=request_id)
        header = (HEADER, request_id.encode())

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), header]}
            await send(message)

        if scope["path"] == "/metrics" and self.token and presents(scope, self.token.get_secret_value()):
            accept = dict(scope["headers"]).get(b"accept", b"").decode("latin-1")
            text, content_type = await asyncio.to_thread(self.metrics.answer, accept)
            await Response(text, media_type=content_type)(scope, receive, answer)
            return
        with callers_trace(scope) if self.traced else nullcontext():
            await self.app(scope, receive, answer)


def request_id_of(scope: Scope, redact: Redactor) -> str:
    """The id that the caller gave, if it is one; else a new one."""
    for name, value in scope["headers"]:
        if name == HEADER:
            given: str = value.decode("latin-1")
            if ACCEPTED.fullmatch(given) and redact(given) == given:
                return given
            break
    return str(uuid4())
