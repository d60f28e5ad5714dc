"""`igla work`: what the command line adds to a remote worker: folders, signals, key and screen."""

import base64
import fcntl
import os
import re
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from server import logs
from server.client import Client
from server.client_core import options
from server.client_retries import Policy
from server.keys import key_at
from server.settings import Settings
from server.worker import REPEATED, Run, Worker
from training.artifacts import ArtifactFolder

PATIENCE = 300.0
"""Seconds that every call is tried for."""

STALE_SECONDS = 24 * 3600.0
"""Age from which half-finished downloads of dead workers are swept away."""


def work_command(
    server: str,
    token: str | None,
    *,
    name: str | None,
    race: str | None,
    key_file: Path | None,
    cache: Path | None,
    most_failures: int,
    idle_exit: float | None,
    settings: Settings,
) -> None:
    """Work for a server until SIGTERM or SIGINT; the second signal ends the process at once."""
    logs.configure("work", settings, secrets=[token or ""])
    key = key_at(key_file) if key_file else None
    stop, late = stop_on_signal(settings.grace_seconds)
    policy = Policy(patience=PATIENCE, repeat=REPEATED)
    folder = cache or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "igla"
    console = Console(stderr=True)
    with (
        httpx.Client(**options(server, token)) as http,
        run_folder(folder) as runs,
        Screen(console) as screen,
    ):
        corpora = ArtifactFolder(folder / "corpora")
        corpora.sweep(STALE_SECONDS, datetime.now(UTC))
        worker = Worker(
            name=name or own_name(),
            remote=Client(http, policy, stop.wait),
            store=ArtifactFolder(runs),
            corpora=corpora,
            stop=stop,
            late=late,
            told=screen.told,
            race=race,
            key=key,
            most_failures=most_failures,
            idle_exit=idle_exit,
        )
        screen.say(f"{worker.name} works for {http.base_url}; scores are {'signed' if key else 'claimed'}")
        worker.work()
        screen.say(f"{worker.name} has ended")


def public_key(key: Ed25519PrivateKey) -> str:
    """What `igla worker enroll` takes."""
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def own_name() -> str:
    """A name of this process that others can tell from the next one's."""
    host = re.sub(r"[^\w.-]", "-", socket.gethostname())[:40]
    return f"{host}:{os.getpid()}"


def stop_on_signal(grace_seconds: float) -> tuple[threading.Event, threading.Event]:
    """An event that the first SIGTERM or SIGINT sets, and one that is set when the time to finish a chunk is over."""
    stop, late = threading.Event(), threading.Event()
    timer = threading.Timer(grace_seconds, late.set)
    timer.daemon = True

    def handle(number: int, frame: object) -> None:
        stop.set()
        timer.start()
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
    return stop, late


@contextmanager
def run_folder(cache: Path) -> Iterator[Path]:
    """A folder for this process's checkpoints, gone at the end; those of dead processes are removed first."""
    runs = cache / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    for folder in runs.iterdir():
        with locked(folder) as dead:
            if dead:
                shutil.rmtree(folder, ignore_errors=True)
    own = Path(tempfile.mkdtemp(dir=runs))
    try:
        with locked(own):
            yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)


@contextmanager
def locked(folder: Path) -> Iterator[bool]:
    """Lock a folder for as long as the process lives; False where a living process has it."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(handle)


class Screen:
    """A bar for the run in training and a line for each chunk."""

    def __init__(self, console: Console) -> None:
        self.console = console
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
        self.bars = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self.bar = self.bars.add_task("", total=None, visible=False)

    def __enter__(self) -> "Screen":
        self.bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.bars.stop()

    def told(self, what: str, run: Run, numbers: Mapping[str, Any]) -> None:
        """Show what happened."""
        ticket = run.ticket
        described = f"{ticket.race}  rung {ticket.rung + 1}  seed {ticket.seed}  {ticket.name}"
        step = numbers.get("step", run.step)
        self.bars.update(
            self.bar, description=described, completed=step, total=ticket.total_steps, visible=what != "ended"
        )
        if what in ("chunk", "ended"):
            note = f" ({numbers['note']})" if numbers["note"] else ""
            value = f"{numbers['bpb']:.4f} bpb {numbers['provenance']}{note}, {numbers['action']}"
            self.say(f"{described}  step {step} of {ticket.total_steps}: {value}")
        elif what in ("lost", "failed"):
            self.say(f"{described}  step {step}: {what}: {numbers['reason']}")

    def say(self, text: str) -> None:
        """One line."""
        self.console.print(Text(text), soft_wrap=True)
