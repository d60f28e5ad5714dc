"""Lines: where a process's log lines go. A full or broken pipe never holds the process up, nor does a slow reader."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, MutableMapping
from typing import Any

Fields = MutableMapping[str, Any]

MOST_WAITING = 10_000
"""Lines that wait for a slow reader; what comes on top is dropped and counted."""

GATHER_SECONDS = 0.2
"""Lines of so long are made and written at once: that costs the calls that they tell of the least."""

LAST_SECONDS = 1.0
"""How long the end of a process waits for its last lines to be read."""


class Lines:
    """Writes lines to a file descriptor. In the background: from a thread of its own, many at once.

    A line is text, or fields that `render` makes text of, in that thread where there is one.
    """

    def __init__(self, descriptor: int, *, background: bool, render: Callable[[Fields], str] = str) -> None:
        self.descriptor = descriptor
        self.render = render
        self.waiting: deque[bytes | Fields] = deque()
        self.dropped = 0
        self.arrived, self.ending = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.drain, daemon=True, name="log-lines") if background else None
        if self.thread is not None:
            self.thread.start()

    def write(self, text: str) -> None:
        """One line, or several with line ends between them."""
        self.put(text.encode(errors="backslashreplace") + b"\n")

    def put(self, line: bytes | Fields) -> None:
        """The same, encoded and with its end, or its fields, which nobody changes any more."""
        if self.thread is None:
            write_all(self.descriptor, [self.encoded(line)])
        elif len(self.waiting) >= MOST_WAITING:
            self.dropped += 1
        else:
            self.waiting.append(line)
            if not self.arrived.is_set():
                self.arrived.set()

    def encoded(self, line: bytes | Fields) -> bytes:
        """What is written of a line."""
        if isinstance(line, bytes):
            return line
        try:
            text = self.render(line)
        except Exception as error:  # whoever writes a line goes on, and so do the lines after it
            text = f"a log line was dropped: it cannot be made text of ({type(error).__name__})"
        return text.encode(errors="backslashreplace") + b"\n"

    def drain(self) -> None:
        """Write what waits, until the end."""
        while not (self.ending.is_set() and not self.waiting):
            self.arrived.wait()
            self.ending.wait(GATHER_SECONDS)
            self.arrived.clear()
            batch = [self.encoded(self.waiting.popleft()) for _ in range(len(self.waiting))]
            if self.dropped:
                batch.append(f"{self.dropped} log lines were dropped: nobody read them in time\n".encode())
                self.dropped = 0
            write_all(self.descriptor, batch)

    def close(self) -> None:
        """Write what waits, as long as somebody reads it."""
        if self.thread is not None:
            self.ending.set()
            self.arrived.set()
            self.thread.join(LAST_SECONDS)


def write_all(descriptor: int, lines: Iterable[bytes]) -> None:
    """Write lines whole; where nobody can read them any more they are gone."""
    left = memoryview(b"".join(lines))
    try:
        while left:
            left = left[os.write(descriptor, left) :]
    except OSError:
        return
