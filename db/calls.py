"""Calls: what is known of one call of a tool while it runs, and who looks on. Plain values, shared by all layers above.

A `Watch` is told when a call begins, and may refuse it (rate limits); it is told again when the call has ended (log,
metrics, traces, traffic). Watches change nothing of a call, and each is one new object in `Runtime.watches`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

from errors import Refusal

DOORWAYS = ("local", "http", "mcp")
"""Where a call came in: the command line and stdio of this machine, `POST /api/<tool>`, MCP over HTTP."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call.

    credential: what names the caller's token in lists, empty without one. request_id: follows the call's work through
    every process and log line. subject: names and ids among its arguments, never other text from outside.
    """

    tool: str
    read_only: bool
    principal: str
    credential: str
    doorway: str
    request_id: str
    subject: Mapping[str, str]


class Watch(Protocol):
    """Looks on at calls. Both methods are quick and never block: they run where the call does."""

    def begins(self, call: Call) -> None:
        """A known caller calls a known tool with arguments not yet checked; a Refusal raised here is the answer."""

    def ended(self, call: Call, code: str, seconds: float) -> None:
        """It has ended: `ok`, the refusal's code, or `internal_error`."""


@contextmanager
def watched(watches: Sequence[Watch], call: Call) -> Iterator[None]:
    """Run a call under its watches. Those that saw it begin see it end, last first."""
    seen: list[Watch] = []
    began, code = perf_counter(), "internal_error"
    try:
        for watch in watches:
            watch.begins(call)
            seen.append(watch)
        yield
        code = "ok"
    except Refusal as refusal:
        code = refusal.code
        raise
    finally:
        for watch in reversed(seen):
            watch.ended(call, code, perf_counter() - began)
