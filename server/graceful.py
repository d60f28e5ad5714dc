"""Graceful: how the web process ends. At once it says that it is not ready; then it waits for who waits for an answer.

SIGTERM -> `begun`: /readyz answers 503, the processes beside it finish their work -> `closing`: calls that still wait
are answered `server_ending`, streams end -> the server stops. A second signal skips the waiting.
"""

import asyncio
import signal
import socket
import threading
import time
from collections.abc import Callable
from types import FrameType

import structlog
import uvicorn

from server.draining import Draining

log = structlog.get_logger()

LOOK_SECONDS = 0.05
LAST_SECONDS = 2.0
"""How long answers and streams may take to end once everything is closing."""


class Server(uvicorn.Server):
    """uvicorn that drains first.

    before: finishes or gives back the work of the processes beside this one, within so many seconds. wake: who waits
    for a signal of the store looks up.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        draining: Draining,
        grace_seconds: float,
        *,
        before: Callable[[float], None],
        wake: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self.draining, self.grace_seconds = draining, grace_seconds
        self.before, self.wake = before, wake

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Note the loop that requests run on, before the first signal can come."""
        self.loop = asyncio.get_running_loop()
        await super().serve(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal drains; the second ends at once."""
        if self.draining.begun.is_set():
            self.draining.closing.set()
            self.should_exit = self.force_exit = True
            return
        self.draining.begun.set()
        threading.Thread(target=self.drain, args=(signal.Signals(sig).name,), daemon=True).start()

    def drain(self, told: str) -> None:
        """Wait for the work, then for the answers, then stop; whatever goes wrong on the way, stop."""
        began = time.monotonic()
        log.info("draining", signal=told, grace_seconds=self.grace_seconds)
        try:
            self.before(self.grace_seconds)
            self.wait(self.grace_seconds - (time.monotonic() - began))
            self.draining.closing.set()
            self.wake()
            self.wait(LAST_SECONDS)
            self.loop.call_soon_threadsafe(self.draining.cut)
        except Exception:
            log.exception("draining_broken_off")
        finally:
            self.should_exit = True

    def wait(self, seconds: float) -> None:
        """Until nobody waits for an answer any more, so many seconds at most."""
        end = time.monotonic() + seconds
        while self.draining.waiting and time.monotonic() < end and not self.should_exit:
            time.sleep(LOOK_SECONDS)
