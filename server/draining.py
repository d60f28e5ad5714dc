"""Draining: how far the end of the web process has come, and who still waits for an answer of it."""

import asyncio
import threading
from dataclasses import dataclass, field

from errors import Refusal


class NotReady(Refusal):
    """Send requests to another server; this one is ending."""

    code = "draining"
    status = 503


@dataclass
class Draining:
    """How far the end has come. Requests and streams are counted on the event loop."""

    begun: threading.Event = field(default_factory=threading.Event)
    closing: threading.Event = field(default_factory=threading.Event)
    waiting: int = 0
    streams: set["asyncio.Task[object]"] = field(default_factory=set)

    def refuse(self) -> None:
        """Raise NotReady once the end has begun."""
        if self.begun.is_set():
            raise NotReady("The server was told to end.")

    def cut(self) -> None:
        """End the streams that are left; called on the event loop."""
        for task in self.streams:
            task.cancel()
