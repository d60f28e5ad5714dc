"""Start of an engine process. Imports torch, so only engine processes import this."""

import os
import signal
import sys
import threading

from opentelemetry.trace import NoOpTracer

from db import workers
from server import logs, tracing
from server.runtime import Runtime, open_runtime, utc_now
from server.settings import Settings


def run_engine(settings: Settings, name: str, *, with_parent: bool) -> None:
    """Serve chunk requests until SIGTERM or SIGINT; with a parent, until standard input closes too."""
    output = logs.configure("engine", settings)
    tracer = tracing.configure("engine", settings) or NoOpTracer()
    runtime = open_runtime(settings)
    if with_parent:
        threading.Thread(target=end_with_parent, args=(runtime, name, "engine"), daemon=True).start()
    with runtime.store.transaction() as session:
        workers.seen(session, name, "engine", utc_now(), f"pid {os.getpid()}, starting")
    from server.engine import Engine  # torch comes in here: seconds after the first sign of life
    from training.engine import Residents

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    Engine(name=name, runtime=runtime, residents=Residents(), output=output, tracer=tracer).serve(stop)
    sign_off(runtime, name, "engine")


def end_with_parent(runtime: Runtime, name: str, kind: str) -> None:
    """End this process when standard input closes, which it does when the parent dies, however it dies."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    try:
        sign_off(runtime, name, kind)
    finally:
        os._exit(0)


def sign_off(runtime: Runtime, name: str, kind: str) -> None:
    """Forget this process: nobody should wait for it."""
    with runtime.store.transaction() as session:
        workers.gone(session, name, kind)
