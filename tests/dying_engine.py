"""An engine that kills itself with SIGKILL at a chosen point: `python tests/dying_engine.py POINT COUNT DATA`.

POINT is `step` (the COUNT-th optimizer step), `write` (the COUNT-th fsync: inside the writing of a checkpoint, before
its rename) or `commit` (the COUNT-th storing of a chunk: after its checkpoint, before the transaction).
"""

import os
import signal
import sys
from pathlib import Path

from server import engine, engine_main
from server.settings import Settings


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


if __name__ == "__main__":
    point, count, data = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    if point == "step":
        engine.Renewal.check = dying(engine.Renewal.check, count)
    elif point == "write":
        os.fsync = dying(os.fsync, count)
    elif point == "commit":
        engine.Engine.store = dying(engine.Engine.store, count)
    engine_main.run_engine(Settings(data=data), "engine-0", with_parent=True)
