"""Start of a clock process."""

import signal
import threading

from server.clock import Clock
from server.engine_main import end_with_parent
from server.runtime import open_runtime
from server.settings import Settings


def run_clock(settings: Settings, name: str, *, with_parent: bool) -> None:
    """Lead, or wait to, until SIGTERM or SIGINT; with a parent, until standard input closes too."""
    runtime = open_runtime(settings)
    if with_parent:
        threading.Thread(target=end_with_parent, args=(runtime, name, "clock"), daemon=True).start()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    Clock(name, runtime).serve(stop)
    runtime.store.close()
