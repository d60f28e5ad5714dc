"""Start of a scorer process."""

import signal
import threading

from server import logs
from server.engine_main import end_with_parent, sign_off
from server.runtime import open_runtime
from server.scorer import Scorer
from server.settings import Settings


def run_scorer(settings: Settings, name: str, *, with_parent: bool) -> None:
    """Measure checkpoints until SIGTERM or SIGINT; with a parent, until standard input closes too."""
    logs.configure("scorer", settings)
    runtime = open_runtime(settings)
    if with_parent:
        threading.Thread(target=end_with_parent, args=(runtime, name, "scorer"), daemon=True).start()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    Scorer(name=name, runtime=runtime).serve(stop)
    sign_off(runtime, name, "scorer")
