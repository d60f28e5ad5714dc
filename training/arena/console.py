"""What an entry prints: counted, and only its end kept. Also the exception by which a check stops a trial."""

import os
import selectors
from contextlib import suppress
from time import perf_counter

from training.arena.sandbox import Ending, Sandboxed

TAIL = 8192
PIECE = 1 << 16


class Failed(Exception):
    """A check failed: its name, and our own words about it."""

    def __init__(self, name: str, detail: str) -> None:
        self.name, self.detail = name, detail
        super().__init__(f"{name}: {detail}")


class Console:
    """Counts what was printed in a phase and keeps the last TAIL bytes."""

    def __init__(self, most: int) -> None:
        self.most, self.count, self.tail = most, 0, b""

    def take(self, fd: int) -> bool:
        """Read what there is; False at its end. Raises Failed (output_limit)."""
        piece = os.read(fd, PIECE)
        self.count += len(piece)
        self.tail = (self.tail + piece)[-TAIL:]
        if self.count > self.most:
            raise Failed("output_limit", f"It printed more than {self.most} bytes.")
        return bool(piece)

    def last_words(self, fd: int) -> None:
        """Take what still lies in the pipe of a program that has ended, or is killed next: a pipe holds one piece."""
        os.set_blocking(fd, False)
        with suppress(BlockingIOError):
            self.tail = (self.tail + os.read(fd, PIECE))[-TAIL:]

    def text(self) -> str:
        """The end of what was printed, as text from outside: characters that a terminal acts on are shown, not sent."""
        text = self.tail.decode(errors="backslashreplace")
        return "".join(sign if sign.isprintable() or sign in "\n\t" else ascii(sign)[1:-1] for sign in text)


def listen(sandboxed: Sandboxed, console: Console, seconds: float) -> Ending:
    """Take what a program prints until it ends. Raises Failed (output_limit); the ending tells everything else."""
    deadline = perf_counter() + seconds
    with selectors.DefaultSelector() as open_pipes:
        for fd in (sandboxed.stdout, sandboxed.stderr):
            open_pipes.register(fd, selectors.EVENT_READ)
        while open_pipes.get_map() and (left := deadline - perf_counter()) > 0:
            for key, _ in open_pipes.select(left):
                if not console.take(key.fd):
                    open_pipes.unregister(key.fd)
    return sandboxed.end(max(deadline - perf_counter(), 0.0))
