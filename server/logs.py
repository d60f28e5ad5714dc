"""Logs: one configuration for every process. Lines of JSON, or for a terminal coloured text, on standard error.

What libraries say through `logging` goes the same way. Every line has the time (UTC), the level, the process and, as
far as they are known, the request id, the principal and the job. Secrets are taken out before a line is written.
"""

import atexit
import json
import logging
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from structlog.contextvars import bind_contextvars, bound_contextvars

from db.calls import TRACEPARENT, Call
from db.redaction import Redactor, redacted, redactor
from server.lines import Fields, Lines
from server.settings import Settings

log = structlog.get_logger()

STDERR = 2
KEPT_LINES = 50
"""Last lines that are kept of a run."""


class Output:
    """What structlog writes to: the process's lines and, while a run is under way, its last ones."""

    def __init__(self, lines: Lines, level: int = logging.INFO) -> None:
        self.lines, self.level = lines, level
        self.kept: deque[str] = deque(maxlen=KEPT_LINES)

    def msg(self, line: Fields) -> None:
        """Write a line. Where a thread writes, that thread also makes text of it: a call does not wait for its line."""
        if self.lines.thread is not None:
            self.lines.put(line)
        else:
            text = self.lines.render(line)
            self.kept.append(text)
            self.lines.write(text)

    log = debug = info = warning = warn = error = critical = fatal = exception = failure = msg

    @contextmanager
    def run(self, **bound: str) -> Iterator[deque[str]]:
        """The lines of one run: each carries these fields, and the last ones stand in what is given."""
        self.kept.clear()
        with bound_contextvars(**bound):
            yield self.kept


def silent() -> Output:
    """An output for a process whose logging somebody else has set up."""
    return Output(Lines(STDERR, background=False, render=lambda line: ENCODE(dict(line))), logging.CRITICAL)


class Handler(logging.Handler):
    """Passes on what libraries say."""

    def emit(self, record: logging.LogRecord) -> None:
        """As a line like any other."""
        details = {"logger": record.name, **({"exc_info": record.exc_info} if record.exc_info else {})}
        try:
            level = min(max(record.levelno // 10 * 10, logging.DEBUG), logging.CRITICAL)
            structlog.get_logger().log(level, record.getMessage(), **details)
        except Exception:
            self.handleError(record)


def configure(
    process: str,
    settings: Settings,
    *,
    secrets: Iterable[str] = (),
    descriptor: int = STDERR,
    background: bool = False,
) -> Output:
    """Set up logging of this process; called once, at its start. secrets: beside those of the settings."""
    level = getattr(logging, settings.log_level.upper())
    terminal = os.isatty(descriptor) if settings.log_format == "auto" else settings.log_format == "console"
    render = renderer(process, redactor([*secrets, *settings.secrets]), terminal=terminal)
    lines = Lines(descriptor, background=background, render=render)
    output = Output(lines, level)
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, structlog.processors.format_exc_info, hand_over],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: output,
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [Handler()]
    root.setLevel(level if level <= logging.DEBUG else max(level, logging.WARNING))
    logging.captureWarnings(True)
    atexit.register(lines.close)
    return output


def hand_over(_logger: Any, name: str, line: Fields) -> tuple[tuple[Fields], dict[str, Any]]:
    """The end of the caller's part: when and how grave; the rest is done where the line is written."""
    line["level"] = "warning" if name == "warn" else "error" if name == "exception" else name
    line["moment"] = time.time_ns()
    return (line,), {}


def renderer(process: str, redact: Redactor, *, terminal: bool) -> Callable[[Fields], str]:
    """What makes a line's text of its fields."""
    pid, stamp = os.getpid(), Stamp()
    coloured = structlog.dev.ConsoleRenderer() if terminal else None

    def render(line: Fields) -> str:
        moment = line.pop("moment")
        clean = {name: redacted(value, redact) for name, value in line.items()}
        clean |= {"process": process, "pid": pid, "timestamp": stamp(moment)}
        return ENCODE(clean) if coloured is None else str(coloured(None, line["level"], clean))

    return render


class Stamp:
    """A moment as text, UTC. A second's text is made once: lines come by the thousand."""

    def __init__(self) -> None:
        self.known = (-1, "")

    def __call__(self, moment: int) -> str:
        """moment: nanoseconds since 1970."""
        second, nanoseconds = divmod(moment, 10**9)
        known, text = self.known
        if second != known:
            text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self.known = second, text
        return f"{text}.{nanoseconds // 1000:06d}Z"


ENCODE = json.JSONEncoder(ensure_ascii=False).encode


class CallLog:
    """A watch that writes one line a call."""

    def __init__(self, output: Output) -> None:
        self.output = output

    def begins(self, call: Call) -> None:
        """From here on every line says which call it belongs to."""
        bind_contextvars(request_id=call.request_id, principal=call.principal)

    def ended(self, call: Call, code: str, seconds: float) -> None:
        """A defect comes with its traceback; every other line takes the shortest way, since each call has one."""
        said = {"tool": call.tool, "code": code, "seconds": round(seconds, 6), "doorway": call.doorway}
        for name, value in call.subject.items():
            said[name.removesuffix("_id")] = value
        if code == "internal_error":
            log.error("tool_call", **said, exc_info=sys.exc_info()[0] is not None)
        elif self.output.level <= logging.INFO:
            said |= {"request_id": call.request_id, "principal": call.principal, "event": "tool_call", "level": "info"}
            if (trace := TRACEPARENT.get()) is not None:
                said["trace_id"] = trace.split("-")[1]
            self.output.msg({**said, "moment": time.time_ns()})
