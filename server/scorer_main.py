"""Start of a scorer process."""

from server import logs
from server.ending import sign_off, told_to_end
from server.runtime import open_runtime
from server.scorer import Scorer
from server.settings import Settings


def run_scorer(settings: Settings, name: str, *, with_parent: bool) -> None:
    """Measure checkpoints until SIGTERM or SIGINT; with a parent, until standard input closes too."""
    logs.configure("scorer", settings)
    stop = told_to_end(settings.grace_seconds, with_parent=with_parent)
    runtime = open_runtime(settings)
    try:
        Scorer(name=name, runtime=runtime).serve(stop)
    finally:
        sign_off(runtime, name, "scorer")
