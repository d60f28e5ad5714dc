"""The process that igla processes of tests are forked from: `python -m tests.forking SOCKET`. See `tests.forked`."""

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import struct
import sys
import threading
from pathlib import Path
from subprocess import PIPE, TimeoutExpired
from types import SimpleNamespace

from tests import forked

OURS = ("server", "tools", "bots", "db", "training", "kernels", "tests", "plugins", "errors")
MODULES = (
    "server.cli", "server.serve", "server.engine_main", "server.engine", "server.scorer_main", "server.scorer",
    "server.arena_main", "server.clock_main", "server.work_command", "server.race_command",
    "training.engine", "training.rescore", "training.compositions.mag", "training.rules.delta",
    "training.optimizers.muon", "training.optimizers.adamw",
)  # fmt: skip


def serve(where):
    """Fork a process for each that connects, until standard input closes, as it does when the tests are over."""
    for name in MODULES:
        importlib.import_module(name)
    forked.HERE["address"] = where
    gc.collect()
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(where)
        listening.listen(64)
        print("ready", flush=True)  # noqa: T201
        while 0 not in (readable := select.select([listening, 0], [], [], 1.0)[0]):
            reap()
            if readable:
                line, _ = listening.accept()
                if os.fork() == 0:
                    listening.close()
                    tend(line)
                line.close()
    reap(wait=True)


def reap(wait=False):
    """Count the time of those that ended."""
    try:
        while os.waitpid(-1, 0 if wait else os.WNOHANG) != (0, 0):
            pass
    except ChildProcessError:
        pass


def tend(line):
    """Fork the process that was asked for, and tell its number and how it ended."""
    assert line.recv(1) == b"f"
    _, streams, _, _ = socket.recv_fds(line, 1, 3)
    asked = json.loads(line.makefile("rb").readline())
    pid = os.fork()
    if pid == 0:
        line.close()
        become(asked, streams)
    for stream in (0, 1, 2, *streams):
        os.close(stream)
    line.sendall(struct.pack("<i", pid))
    _, status = os.waitpid(pid, 0)
    try:
        line.sendall(struct.pack("<i", status))
    finally:
        os._exit(0)


def become(asked, streams):
    """Be the process: its folder, environment and streams, then the command line."""
    from server import cli, supervisor

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell has it ignored
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin, sys.stdout = open(0), open(1, "w")  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace")  # noqa: SIM115
    sys.argv = [asked["script"] or "igla", *asked["words"]]
    supervisor.subprocess = SimpleNamespace(
        Popen=lambda command, **more: forked.Forked(command[3:], **more), PIPE=PIPE, TimeoutExpired=TimeoutExpired
    )
    code = 1
    try:
        if asked["script"]:
            stand_alone(asked["script"])
        else:
            cli.main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def stand_alone(script):
    """Run a script as Python does where our packages are not."""
    sys.path[:] = [str(Path(script).parent), *(each for each in sys.path if Path(each).resolve() != forked.ROOT)]
    for name in [name for name in sys.modules if name.partition(".")[0] in OURS]:
        del sys.modules[name]
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    serve(sys.argv[1])
