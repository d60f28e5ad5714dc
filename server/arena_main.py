"""Start of an arena process."""

import os
import signal
import sys
import threading
import time

from server import logs
from server.arena import Runner
from server.engine_main import sign_off
from server.runtime import open_runtime
from server.settings import Settings
from training.arena.sandbox import ArenaUnavailable

LAST_SECONDS = 10.0
"""How long a process whose parent is gone may take to give its run back."""


def run_arena(settings: Settings, name: str, *, with_parent: bool) -> None:
    """Run entries until SIGTERM or SIGINT; with a parent, until standard input closes too.

    A trial that is under way is broken off and its run given back. Raises ArenaUnavailable where nothing can be run.
    """
    logs.configure("arena", settings)
    runtime = open_runtime(settings)
    if (reason := runtime.no_arena()) is not None:
        raise ArenaUnavailable(reason)
    if with_parent:
        threading.Thread(target=end_with_parent, daemon=True).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    try:
        Runner(name=name, runtime=runtime).serve(threading.Event())
    finally:
        sign_off(runtime, name, "arena")


def end_with_parent() -> None:
    """End this process as SIGTERM does when standard input closes, which it does when the parent dies."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(LAST_SECONDS)
    os._exit(0)
