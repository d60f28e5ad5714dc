"""Supervisor: keeps engines and scorers alive beside a parent. One that dies is started again under its name."""

import os
import subprocess
import sys
import threading
from types import TracebackType
from typing import IO

import structlog

from server.settings import Settings

log = structlog.get_logger()

LOOK_SECONDS = 0.2
FASTEST_RESTARTS = 5
"""An engine that dies this often within a minute of its start is restarted only once a minute."""


class Engines:
    """A context manager around the processes. They also end by themselves when this process dies."""

    def __init__(self, settings: Settings, count: int, output: IO[bytes] | None = None, scorers: int = 0) -> None:
        self.settings = settings
        self.output = output
        kinds = {"engine": count, "scorer": scorers}
        self.names = [f"{kind}-{number}" for kind, many in kinds.items() for number in range(many)]
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.restarts = dict.fromkeys(self.names, 0)
        self.ending = threading.Event()
        self.watcher = threading.Thread(target=self.watch, daemon=True)

    def __enter__(self) -> "Engines":
        for name in self.names:
            self.start(name)
        self.watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ending.set()
        self.watcher.join()
        for process in self.running.values():
            if process.stdin:
                process.stdin.close()
        for process in self.running.values():
            process.wait()

    def start(self, name: str) -> None:
        """Start one; its standard input is the thread it hangs on."""
        environment = {
            **os.environ,
            "IGLA_DATA": str(self.settings.data.resolve()),
            "IGLA_DATABASE_URL": self.settings.store_url,
            "OMP_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
        }
        self.running[name] = subprocess.Popen(
            [sys.executable, "-m", "server.cli", name.partition("-")[0], "--name", name, "--with-parent"],
            stdin=subprocess.PIPE,
            stdout=self.output,
            stderr=self.output,
            env=environment,
        )

    def watch(self) -> None:
        """Start again what has died."""
        while not self.ending.wait(LOOK_SECONDS):
            for name, process in list(self.running.items()):
                if process.poll() is not None:
                    log.warning("process_died", name=name, exit_code=process.returncode)
                    self.restarts[name] += 1
                    if self.restarts[name] > FASTEST_RESTARTS and self.ending.wait(60):
                        return
                    self.start(name)
