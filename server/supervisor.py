"""Supervisor: keeps engines and their like alive beside a parent. One that dies is started again under its name."""

import fcntl
import os
import platform
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import IO

import structlog

from server.settings import Settings

log = structlog.get_logger()

LOOK_SECONDS = 0.2
MANY_DEATHS = 5
PAUSE_SECONDS = 60.0
"""A process that died this often, each time within this many seconds of its start, waits as long before the next."""


@dataclass(kw_only=True)
class Child:
    """One process and how it fared: deaths counts those soon after a start."""

    process: subprocess.Popen[bytes]
    started: float
    deaths: int = 0
    wait_until: float = field(default=0.0)


class Engines:
    """A context manager around the processes. They also end by themselves when this process dies.

    Names are made of the machine and of a slot that one supervisor holds at a time: two parents on one data folder
    never share a name, and one that starts after another was killed takes up its work at once.
    """

    def __init__(
        self,
        settings: Settings,
        count: int,
        output: IO[bytes] | None = None,
        scorers: int = 0,
        arenas: int = 0,
        clocks: int = 0,
    ) -> None:
        self.settings = settings
        self.output = output
        self.kinds = {"engine": count, "scorer": scorers, "arena": arenas, "clock": clocks}
        self.running: dict[str, Child] = {}
        self.ending = threading.Event()
        self.watcher = threading.Thread(target=self.watch, daemon=True)

    def __enter__(self) -> "Engines":
        number, self.slot = take_slot(self.settings.data)
        for kind, many in self.kinds.items():
            for each in range(many):
                name = f"{kind}-{platform.node()}-{number}-{each}"
                self.running[name] = Child(process=self.start(name), started=time.monotonic())
        self.watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ending.set()
        self.watcher.join()
        for child in self.running.values():
            if child.process.stdin:
                child.process.stdin.close()
        for child in self.running.values():
            child.process.wait()
        self.slot.close()

    def start(self, name: str) -> subprocess.Popen[bytes]:
        """Start one; its standard input is the thread it hangs on."""
        environment = {
            **os.environ,
            "IGLA_DATA": str(self.settings.data.resolve()),
            "IGLA_DATABASE_URL": self.settings.store_url,
            "OMP_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
        }
        return subprocess.Popen(
            [sys.executable, "-m", "server.cli", name.partition("-")[0], "--name", name, "--with-parent"],
            stdin=subprocess.PIPE,
            stdout=self.output,
            stderr=self.output,
            env=environment,
        )

    def watch(self) -> None:
        """Start again what has died, each at its own pace."""
        while not self.ending.wait(LOOK_SECONDS):
            for name, child in self.running.items():
                if child.process.poll() is not None:
                    self.revive(name, child, time.monotonic())

    def revive(self, name: str, child: Child, now: float) -> None:
        """Note a death once, and start the process again when its pause is over."""
        if child.wait_until == 0.0:
            child.deaths = child.deaths + 1 if now - child.started < PAUSE_SECONDS else 1
            child.wait_until = now + (PAUSE_SECONDS if child.deaths > MANY_DEATHS else 0.0)
            log.warning("process_died", name=name, exit_code=child.process.returncode, deaths=child.deaths)
        if now >= child.wait_until:
            child.process, child.started, child.wait_until = self.start(name), now, 0.0


def take_slot(data: Path) -> tuple[int, IO[bytes]]:
    """The lowest number that no living supervisor of this data folder holds, and the open file that holds it."""
    data.mkdir(parents=True, exist_ok=True)
    for number in count():
        file = (data / f"supervisor-{number}.lock").open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
        else:
            return number, file
    raise AssertionError("count() does not end")
