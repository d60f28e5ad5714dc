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
from collections.abc import Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import structlog
from structlog.contextvars import bind_contextvars, bound_contextvars

from db.calls import Call
from db.redaction import Redactor, redacted, redactor
from server.lines import Lines
from server.settings import Settings

log = structlog.get_logger()

STDERR = 2
KEPT_LINES = 50
"""Last lines that are kept of a run."""


class Output:
    """What structlog writes to: the process's lines and, while a run is under way, its last ones."""

    def __init__(self, lines: Lines) -> None:
        self.lines = lines
        self.kept: deque[str] = deque(maxlen=KEPT_LINES)

    def msg(self, message: str) -> None:
        """Write a rendered line."""
        self.kept.append(message)
        self.lines.write(message)

    log = debug = info = warning = warn = error = critical = fatal = exception = failure = msg

    @contextmanager
    def run(self, **bound: str) -> Iterator[deque[str]]:
        """The lines of one run: each carries these fields, and the last ones stand in what is given."""
        self.kept.clear()
        with bound_contextvars(**bound):
            yield self.kept


def silent() -> Output:
    """An output for a process whose logging somebody else has set up."""
    return Output(Lines(STDERR, background=False))


class Handler(logging.Handler):
    """Passes on what libraries say."""

    def emit(self, record: logging.LogRecord) -> None:
        """As a line like any other."""
        details = {"logger": record.name, **({"exc_info": record.exc_info} if record.exc_info else {})}
        try:
            structlog.get_logger().log(max(record.levelno, logging.DEBUG), record.getMessage(), **details)
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
    lines = Lines(descriptor, background=background)
    output = Output(lines)
    structlog.configure(
        processors=processors(process, redactor([*secrets, *settings.secrets]), terminal=terminal),
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


def processors(process: str, redact: Redactor, *, terminal: bool) -> list[Any]:
    """What a line goes through, from its fields to its text."""
    pid = os.getpid()

    def named(_logger: Any, _name: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        line["process"], line["pid"] = process, pid
        return line

    def clean(_logger: Any, _name: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        for name, value in line.items():
            line[name] = redacted(value, redact)
        return line

    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.format_exc_info,
        clean,
        named,
        structlog.processors.add_log_level,
        Stamp(),
        structlog.dev.ConsoleRenderer() if terminal else as_json,
    ]


class Stamp:
    """The moment of a line, UTC. A second's text is made once: lines come by the thousand."""

    def __init__(self) -> None:
        self.second, self.text = -1, ""

    def __call__(self, _logger: Any, _name: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Add it."""
        second, nanoseconds = divmod(time.time_ns(), 10**9)
        if second != self.second:
            self.text, self.second = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)), second
        line["timestamp"] = f"{self.text}.{nanoseconds // 1000:06d}Z"
        return line


ENCODE = json.JSONEncoder(ensure_ascii=False).encode


def as_json(_logger: Any, _name: str, line: MutableMapping[str, Any]) -> str:
    """A line as JSON; its values are plain by now."""
    return ENCODE(line)


class CallLog:
    """A watch that writes one line a call."""

    def begins(self, call: Call) -> None:
        """From here on every line says which call it belongs to."""
        bind_contextvars(request_id=call.request_id, principal=call.principal)

    def ended(self, call: Call, code: str, seconds: float) -> None:
        """A defect comes with its traceback."""
        said = {"tool": call.tool, "code": code, "seconds": round(seconds, 6), "doorway": call.doorway}
        about = {name.removesuffix("_id"): value for name, value in call.subject.items()}
        if code == "internal_error":
            log.error("tool_call", **said, **about, exc_info=sys.exc_info()[0] is not None)
        else:
            log.info("tool_call", **said, **about)
