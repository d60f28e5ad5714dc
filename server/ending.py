"""Ending: how a process that works from the store ends. Told to, it takes no more work and has a time to finish.

SIGTERM or SIGINT: `stop` is set, and what is under way has so many seconds. After them, at a second signal, or when the
parent is gone, SystemExit is raised wherever the main thread stands; who holds a lease gives it back on the way out.
With a parent a second signal changes nothing: some systems tell a whole group, and the parent tells each again.
"""

import os
import signal
import sys
import threading
import time

from db import workers
from server.runtime import Runtime

LAST_SECONDS = 8.0
"""How long a process whose parent is gone may take to give back what it holds, with the main thread in a long call."""


def told_to_end(grace_seconds: float, *, with_parent: bool) -> threading.Event:
    """Install the handlers, in the main thread; gives the event that the first signal sets."""
    stop = threading.Event()
    if with_parent:
        threading.Thread(target=wait_for_parent, daemon=True).start()

    def finish_soon(number: int, frame: object) -> None:
        if not stop.is_set():
            stop.set()
            signal.setitimer(signal.ITIMER_REAL, max(grace_seconds, 0.001))
        elif not with_parent:
            end_now(number, frame)

    signal.signal(signal.SIGALRM, end_now)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, finish_soon)
    return stop


def end_now(number: int, frame: object) -> None:
    """End, once: what is done on the way out is not interrupted again."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    for each in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.SIG_IGN)
    raise SystemExit(0)


def wait_for_parent() -> None:
    """End this process when standard input closes, which it does when the parent dies, however it dies."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.kill(os.getpid(), signal.SIGALRM)
    time.sleep(LAST_SECONDS)
    os._exit(0)


def sign_off(runtime: Runtime, name: str, kind: str) -> None:
    """Forget this process: nobody should wait for it. What it counted last is kept."""
    runtime.store.meters.flush(runtime.store)
    with runtime.store.transaction() as session:
        workers.gone(session, name, kind)
