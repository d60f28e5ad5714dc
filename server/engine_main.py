"""Start of an engine process. Imports torch, so only engine processes import this."""

import faulthandler
import os

from opentelemetry.trace import NoOpTracer

from db import chunks, workers
from server import logs, tracing
from server.ending import sign_off, told_to_end
from server.runtime import open_runtime, utc_now
from server.settings import Settings


def run_engine(settings: Settings, name: str, *, with_parent: bool) -> None:
    """Serve chunk requests until SIGTERM or SIGINT; with a parent, until standard input closes too."""
    faulthandler.enable()  # a crash in native code leaves its traceback among the last lines
    output = logs.configure("engine", settings)
    stop = told_to_end(settings.grace_seconds, with_parent=with_parent)
    tracer = tracing.configure("engine", settings) or NoOpTracer()
    runtime = open_runtime(settings)
    try:
        with runtime.store.transaction() as session:
            workers.seen(session, name, "engine", utc_now(), f"pid {os.getpid()}, starting")
        from server.engine import Engine  # torch comes in here: seconds after the first sign of life
        from training.engine import Residents

        Engine(name=name, runtime=runtime, residents=Residents(), output=output, tracer=tracer).serve(stop)
    finally:
        with runtime.store.transaction() as session:
            chunks.leave(session, name)
        sign_off(runtime, name, "engine")
