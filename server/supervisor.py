"""Supervisor: keeps engines and their like alive beside a parent. One that dies is started again under its name."""

import fcntl
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import IO

import structlog
from sqlalchemy.exc import SQLAlchemyError

from db import chunks, job_log
from db.store import Store
from server.last_words import LastWords
from server.lines import Lines
from server.logs import STDERR
from server.runtime import utc_now
from server.settings import Settings

log = structlog.get_logger()

LOOK_SECONDS = 0.2
LAST_SECONDS = 1.0
"""How long a process may take to give back what it was at."""

KILL_SECONDS = 10.0
"""A process that has not ended so long after its standard input closed is killed."""

MANY_DEATHS, AGAIN_SECONDS = 5, 5.0
PAUSE_SECONDS = 60.0
"""A process that died this often, each time within this many seconds of its start, waits as long before the next.
One that could not be started, as a system short of memory may have it, is tried again after AGAIN_SECONDS."""


@dataclass(kw_only=True)
class Child:
    """One process and how it fared: deaths counts those soon after a start."""

    process: subprocess.Popen[bytes]
    last_words: LastWords
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
        store: Store | None = None,
        clocks: int = 0,
    ) -> None:
        self.settings = settings
        self.store = store
        self.output = output
        self.kinds = {"engine": count, "scorer": scorers, "arena": arenas, "clock": clocks}
        self.running: dict[str, Child] = {}
        self.ending = threading.Event()
        self.watcher = threading.Thread(target=self.watch, daemon=True)

    def __enter__(self) -> "Engines":
        number, self.slot = take_slot(self.settings.data)
        self.lines = Lines(STDERR if self.output is None else self.output.fileno(), background=True)
        for kind, many in self.kinds.items():
            for each in range(many):
                name = f"{kind}-{platform.node()}-{number}-{each}"
                self.running[name] = self.child(name, time.monotonic())
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
            try:
                child.process.wait(KILL_SECONDS)
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
        self.lines.close()
        self.slot.close()

    def drain(self, grace_seconds: float) -> None:
        """Let every process finish what it is at; who takes longer gives it back. None is started again."""
        self.ending.set()
        self.watcher.join()
        for child in self.running.values():
            child.process.terminate()
        end = time.monotonic() + grace_seconds + LAST_SECONDS
        for child in self.running.values():
            with suppress(subprocess.TimeoutExpired):
                child.process.wait(max(0.0, end - time.monotonic()))

    def child(self, name: str, now: float, deaths: int = 0) -> Child:
        """Start one."""
        process = self.start(name)
        assert process.stderr is not None
        return Child(process=process, last_words=LastWords(process.stderr, self.lines), started=now, deaths=deaths)

    def start(self, name: str) -> subprocess.Popen[bytes]:
        """The process: its standard input is the thread it hangs on, its standard error is read by this process."""
        environment = {
            **os.environ,
            "IGLA_DATA": str(self.settings.data.resolve()),
            "IGLA_DATABASE_URL": self.settings.store_url,
            "OMP_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
        }
        if self.settings.log_format == "auto" and os.isatty(self.lines.descriptor):
            environment["IGLA_LOG_FORMAT"] = "console"
        return subprocess.Popen(
            self.command(name), stdin=subprocess.PIPE, stdout=self.output, stderr=subprocess.PIPE, env=environment
        )

    def command(self, name: str) -> list[str]:
        """What a process of this name runs."""
        return [sys.executable, "-m", "server.cli", name.partition("-")[0], "--name", name, "--with-parent"]

    def watch(self) -> None:
        """Start again what has died, each at its own pace."""
        while not self.ending.wait(LOOK_SECONDS):
            for name, child in list(self.running.items()):
                if child.process.poll() is not None:
                    try:
                        self.revive(name, child, time.monotonic())
                    except Exception:
                        log.exception("process_not_started", name=name)
                        child.wait_until = time.monotonic() + AGAIN_SECONDS

    def revive(self, name: str, child: Child, now: float) -> None:
        """Note a death once, and start the process again when its pause is over."""
        if child.wait_until == 0.0:
            child.deaths = child.deaths + 1 if now - child.started < PAUSE_SECONDS else 1
            child.wait_until = now + (PAUSE_SECONDS if child.deaths > MANY_DEATHS else 0.0)
            log.warning("process_died", name=name, exit_code=child.process.returncode, deaths=child.deaths)
            if child.process.stdin:
                child.process.stdin.close()
            if self.store is not None:
                keep_last_words(self.store, name, child.process.returncode, child.last_words.said())
        if now >= child.wait_until:
            self.running[name] = self.child(name, now, child.deaths)


def keep_last_words(store: Store, name: str, exit_code: int, said: list[str]) -> None:
    """Count a death, and put the last lines of an engine to the job that it was at: nobody else knows them."""
    store.meters.add("process_deaths", kind=name.partition("-")[0])
    end = f"{name} ended unasked: {ended(exit_code)}"
    try:
        with store.transaction() as session:
            for job_id in chunks.held_by(session, name):
                job_log.add(session, job_id, [*job_log.gist(job_log.about(said, job_id)), end], utc_now())
    except SQLAlchemyError as error:
        log.warning("last_words_lost", name=name, error=type(error).__name__)


def ended(exit_code: int) -> str:
    """An exit code in words."""
    if exit_code >= 0:
        return f"exit code {exit_code}"
    name = signal.Signals(-exit_code).name
    hint = ", which is how a system ends what takes too much memory" if name == "SIGKILL" else ""
    return f"{name}{hint}"


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
