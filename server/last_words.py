"""Last words: what a process wrote to standard error before it died, whatever it died of.

A thread reads as fast as the process writes and hands on without waiting for a reader, so a process never stands still
because somebody does not read its log.
"""

import os
import threading
from collections import deque
from typing import IO

from server.lines import Lines

KEPT_LINES = 250
"""More than are stored: the report of a crash is long, and its reason stands first."""

LONGEST_LINE = 4_000
LAST_SECONDS = 0.5
"""How long the last lines of a dead process may take to come; what it left running may hold the pipe open."""


class LastWords:
    """The last lines of one process, as they come. `lines`: where all of them go."""

    def __init__(self, pipe: IO[bytes], lines: Lines) -> None:
        self.pipe, self.lines = pipe, lines
        self.kept: deque[bytes] = deque(maxlen=KEPT_LINES)
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self) -> None:
        """Until the process and all that it started have closed the pipe."""
        rest = b""
        with self.pipe:
            while data := os.read(self.pipe.fileno(), 1 << 16):
                *whole, rest = (rest + data).split(b"\n")
                if whole:
                    self.take(whole)
                if len(rest) > LONGEST_LINE:
                    self.take([rest])
                    rest = b""
        if rest:
            self.take([rest])

    def take(self, whole: list[bytes]) -> None:
        """Hand lines on, and keep the last."""
        self.lines.put(b"\n".join(whole) + b"\n")
        self.kept.extend(line[:LONGEST_LINE] for line in whole[-KEPT_LINES:])

    def said(self) -> list[str]:
        """The last lines of a process that has ended."""
        self.thread.join(LAST_SECONDS)
        return [line.decode(errors="replace") for line in list(self.kept)]
