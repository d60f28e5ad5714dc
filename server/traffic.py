"""Traffic: what agents call, as it happens, for operators: a watch writes rows, `GET /events/traffic` streams them.

The stream reads the table, so it shows what all replicas of the server are asked.
"""

import asyncio
import json
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import Any

import structlog
from fastapi import FastAPI, Request
from sqlalchemy.exc import SQLAlchemyError
from sse_starlette import EventSourceResponse, ServerSentEvent

from db import traffic
from db.calls import Call
from db.store import Store
from db.traffic import TrafficView
from errors import InvalidValue, Refusal
from server.runtime import Runtime, utc_now
from server.toolbox import ScopeMissing

log = structlog.get_logger()

MOST_WAITING = 10_000
"""Calls that wait to be written at most; what comes beyond is counted, and the log says how many."""

WRITE_PAUSE = 0.5
"""Seconds between two batches."""

LOOK_PAUSE = 0.5
"""Seconds between two looks of a stream."""

KEEP_ALIVE = 15
"""Seconds between two comments in a stream that has nothing to say."""

MOST_STREAMS = 20


class StreamsFull(Refusal):
    """Close a stream of yours that nobody watches, or open this one later."""

    code = "streams_full"
    status = 429


class Traffic:
    """Watches calls and writes them down in the background. `dropped` counts those that it could not."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.waiting: deque[tuple[datetime, Call, str, float]] = deque()
        self.dropped = 0
        self.wake, self.stop = threading.Event(), threading.Event()

    def begins(self, call: Call) -> None:
        """Nothing to do."""

    def ended(self, call: Call, code: str, seconds: float) -> None:
        """Queue the call."""
        if len(self.waiting) >= MOST_WAITING:
            self.dropped += 1
            return
        self.waiting.append((utc_now(), call, code, seconds))
        if not self.wake.is_set():
            self.wake.set()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write in a thread of its own for as long as this lasts, and at its end what is left."""
        thread = threading.Thread(target=self.write, name="traffic", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.stop.set()
            self.wake.set()
            thread.join()

    def write(self) -> None:
        """Write batches until the end."""
        while not self.stop.is_set():
            self.wake.wait()
            self.stop.wait(WRITE_PAUSE)
            self.wake.clear()
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        dropped, self.dropped = self.dropped, 0
        batch = [self.waiting.popleft() for _ in range(len(self.waiting))]
        if batch:
            try:
                with self.store.transaction() as session:
                    traffic.add(session, (values_of(*one) for one in batch))
            except SQLAlchemyError as error:
                log.warning("traffic_not_written", reason=type(error).__name__)
                dropped += len(batch)
        if dropped:
            log.warning("traffic_dropped", calls=dropped)


def values_of(at: datetime, call: Call, code: str, seconds: float) -> dict[str, Any]:
    """A call as a row."""
    return {
        "at": at, "tool": call.tool, "read_only": call.read_only, "principal": call.principal,
        "credential": call.credential, "doorway": call.doorway, "request_id": call.request_id,
        "subject": call.subject, "code": code, "seconds": seconds,
    }  # fmt: skip


def add_traffic(app: FastAPI, runtime: Runtime) -> None:
    """Add the stream."""
    streams = Streams(runtime.store)

    @app.get("/events/traffic", include_in_schema=False)  # a stream has no end for who tries every address
    async def stream(request: Request) -> EventSourceResponse:
        if "admin" not in request.scope["igla.principal"].scopes:
            raise ScopeMissing("The traffic of all agents needs the scope admin.", ("admin",))
        asked = request.headers.get("last-event-id") or request.query_params.get("after")
        return EventSourceResponse(streams.opened(number_of(asked)), ping=KEEP_ALIVE)


def number_of(text: str | None) -> int | None:
    """The id that a client has seen last."""
    if text is None or text == "":
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise InvalidValue("Last-Event-ID is the id of an event, a whole number.")
    return int(text)


class Streams:
    """The open streams of a process."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.open = 0

    def opened(self, seen: int | None) -> AsyncIterator[ServerSentEvent]:
        """A stream from the row after `seen`, or from now on. Raises StreamsFull."""
        if self.open >= MOST_STREAMS:
            raise StreamsFull(f"{MOST_STREAMS} streams are open.")
        return self.events(seen)

    async def events(self, seen: int | None) -> AsyncIterator[ServerSentEvent]:
        """Rows as events, without an end."""
        self.open += 1
        try:
            last = await asyncio.to_thread(self.last)
            seen = last if seen is None or seen > last else seen
            while True:
                found = await asyncio.to_thread(self.after, seen)
                for one in found:
                    yield event_of(one)
                    seen = one.id
                if not found:
                    await asyncio.sleep(LOOK_PAUSE)
        finally:
            self.open -= 1

    def last(self) -> int:
        """The id of the latest row."""
        with self.store.reading() as session:
            return traffic.last_id(session)

    def after(self, seen: int) -> list[TrafficView]:
        """The rows after this one."""
        with self.store.reading() as session:
            return traffic.after(session, seen)


def event_of(row: TrafficView) -> ServerSentEvent:
    """A row as an event."""
    return ServerSentEvent(event="call", id=str(row.id), data=json.dumps(asdict(row), default=str))
