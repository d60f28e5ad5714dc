"""An engine that kills itself with SIGKILL at a chosen point, in a process forked from one that has imported all."""

import multiprocessing
import os
import signal

from server import engine, engine_main
from server.settings import Settings

FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload([__name__])


def started(data, point="never", count=1, **settings):
    """The engine of a folder, in a process of its own."""
    process = FORKED.Process(target=run, args=(data, point, count, settings), daemon=True)
    process.start()
    return process


def dying(function, count):
    """The function, which ends the process when it is called for the count-th time."""
    calls = 0

    def wrapped(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)

    return wrapped


def run(data, point, count, settings):
    """Serve, and die at a point.

    `step`: the count-th optimizer step; `write`: the count-th fsync, inside the writing of a checkpoint and before its
    rename; `commit`: the count-th storing of a chunk, after its checkpoint and before the transaction.
    """
    if point == "step":
        engine.Renewal.check = dying(engine.Renewal.check, count)
    elif point == "write":
        os.fsync = dying(os.fsync, count)
    elif point == "commit":
        engine.Engine.store = dying(engine.Engine.store, count)
    engine_main.run_engine(Settings(data=data, **settings), "engine-0", with_parent=False)
