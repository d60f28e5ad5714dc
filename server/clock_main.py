"""Start of a clock process."""

from server import logs
from server.clock import Clock
from server.ending import told_to_end
from server.runtime import open_runtime
from server.settings import Settings


def run_clock(settings: Settings, name: str, *, with_parent: bool) -> None:
    """Lead, or wait to, until SIGTERM or SIGINT; with a parent, until standard input closes too."""
    logs.configure("clock", settings)
    stop = told_to_end(settings.grace_seconds, with_parent=with_parent)
    runtime = open_runtime(settings)
    try:
        Clock(name, runtime).serve(stop)
    finally:
        runtime.store.close()
