"""Start of an arena process."""

from server import logs
from server.arena import Runner
from server.ending import sign_off, told_to_end
from server.runtime import open_runtime
from server.settings import Settings
from training.arena.sandbox import ArenaUnavailable


def run_arena(settings: Settings, name: str, *, with_parent: bool) -> None:
    """Run entries until SIGTERM or SIGINT; with a parent, until standard input closes too.

    A trial that takes longer than the time to finish is broken off, and its run given back. Raises ArenaUnavailable
    where nothing can be run.
    """
    logs.configure("arena", settings)
    runtime = open_runtime(settings)
    if (reason := runtime.no_arena()) is not None:
        raise ArenaUnavailable(reason)
    stop = told_to_end(settings.grace_seconds, with_parent=with_parent)
    try:
        Runner(name=name, runtime=runtime).serve(stop)
    finally:
        sign_off(runtime, name, "arena")
