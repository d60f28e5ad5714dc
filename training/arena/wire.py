"""The two pipes to an entry that predicts: frames out, frames in, and whose turn it is.

A frame is its length (u32, little-endian) and that many bytes. Every wait has an end, and what the entry prints on
stderr is taken meanwhile.
"""

import fcntl
import os
import select
import struct
import termios
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from training.arena.console import Console, Failed
from training.arena.sandbox import Sandboxed

LENGTH = struct.Struct("<I")
PIPE_BYTES = 1 << 20
SET_PIPE_SIZE = 1031
"""F_SETPIPE_SZ of linux/fcntl.h; fcntl has no name for it where Python was built on an old system."""


class Wire:
    """Frames to and from one entry. round_seconds: how long it may be silent; deadline: when the phase is over."""

    def __init__(self, sandboxed: Sandboxed, console: Console, *, round_seconds: float, deadline: float) -> None:
        self.sandboxed, self.console = sandboxed, console
        self.round_seconds, self.deadline = round_seconds, deadline
        os.set_blocking(sandboxed.stdin, False)
        os.set_blocking(sandboxed.stdout, False)
        widen(sandboxed.stdout)
        self.poll = select.poll()
        self.poll.register(sandboxed.stdout, select.POLLIN)
        self.poll.register(sandboxed.stderr, select.POLLIN)

    def send(self, payload: bytes) -> None:
        """One frame out. Raises Failed (late_rows, short_rows, time_limit)."""
        left, until = memoryview(LENGTH.pack(len(payload)) + payload), self.until()
        while left:
            try:
                left = left[os.write(self.sandboxed.stdin, left) :]
            except BlockingIOError:
                self.wait_for_reader(until)
            except BrokenPipeError:
                raise Failed("short_rows", "It ended before the last round.") from None

    def frame(self, most: int, *, patient: bool = False) -> bytes:
        """A frame of at most `most` bytes. patient: only the phase's own deadline counts."""
        until = self.deadline if patient else self.until()
        length = self.length(until)
        if length > most:
            raise Failed("wrong_rows", f"A frame of {length} bytes came where at most {most} were expected.")
        buffer = bytearray(length)
        self.fill(memoryview(buffer), until)
        return bytes(buffer)

    def rows(self, out: NDArray[np.float32]) -> None:
        """A frame of exactly this array, and nothing behind it. Raises Failed."""
        until, view = self.until(), out.reshape(-1).view(np.uint8).data
        length = self.length(until)
        if length != len(view):
            raise Failed("wrong_rows", f"A frame of {length} bytes came where {len(view)} were expected.")
        self.fill(view, until)
        if waiting(self.sandboxed.stdout):
            raise Failed("early_rows", "It sent more before this round's bytes were told.")

    def length(self, until: float) -> int:
        """The length of the frame that comes."""
        head = bytearray(LENGTH.size)
        self.fill(memoryview(head), until)
        return int(LENGTH.unpack(head)[0])

    def fill(self, view: memoryview, until: float) -> None:
        """Read exactly this many bytes."""
        while view:
            try:
                count = os.readv(self.sandboxed.stdout, [view])
            except BlockingIOError:
                self.wait(until)
                continue
            if count == 0:
                raise Failed("short_rows", "It ended before the last round.")
            view = view[count:]

    def finish(self) -> None:
        """Nothing may come any more. Raises Failed (extra_bytes, late_rows, time_limit)."""
        until = self.until()
        while True:
            try:
                if os.read(self.sandboxed.stdout, 1):
                    raise Failed("extra_bytes", "It sent more after the last round.")
                return
            except BlockingIOError:
                self.wait(until)

    def until(self) -> float:
        """When this turn of the entry ends."""
        return min(perf_counter() + self.round_seconds, self.deadline)

    def wait(self, until: float) -> None:
        """Until something comes on stdout; stderr is taken."""
        while True:
            events = dict(self.poll.poll(self.left(until)))
            if self.sandboxed.stderr in events and not self.console.take(self.sandboxed.stderr):
                self.poll.unregister(self.sandboxed.stderr)
            if self.sandboxed.stdout in events:
                return

    def wait_for_reader(self, until: float) -> None:
        """Until the entry has read some of what was sent."""
        select.select([], [self.sandboxed.stdin], [], self.left(until) / 1000)

    def left(self, until: float) -> float:
        """Milliseconds until then; Failed when it is past."""
        left = until - perf_counter()
        if left <= 0:
            late = until < self.deadline
            why = f"It was silent for {self.round_seconds:g} s in a round." if late else "The phase was over."
            raise Failed("late_rows" if late else "time_limit", why)
        return left * 1000


def waiting(fd: int) -> int:
    """Bytes that lie in a pipe."""
    return int.from_bytes(fcntl.ioctl(fd, termios.FIONREAD, bytes(4)), "little")


def widen(fd: int) -> None:
    """Let a round's rows fit into the pipe where the system allows it."""
    try:
        fcntl.fcntl(fd, SET_PIPE_SIZE, PIPE_BYTES)
    except PermissionError:
        return
