"""Start a program from outside where it can do nothing but compute: the host's side of `launcher`."""

import functools
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from errors import Refusal
from training.arena import seccomp
from training.arena.interpreter import interpreter, within
from training.arena.limits import Limits

PROJECT = Path(__file__).resolve().parents[2]
"""No entry may see it."""

SETUP_SECONDS = 30.0
SPREAD = 65536
HIGHEST_UID = 2**31 - 2


class ArenaUnavailable(Refusal):
    """Run the arena on Linux 5.12 or newer, as root or a user who may make namespaces; the message says what lacks."""

    code = "arena_unavailable"
    status = 503


@dataclass(frozen=True, kw_only=True)
class Box:
    """What runs, and what it sees: files maps a path inside to one outside, for reading only.

    folder: ours alone, for the time it runs. export: an empty folder for what the program leaves in /tmp/artifact.
    """

    python: str
    arguments: tuple[str, ...]
    folder: Path
    limits: Limits
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    export: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How it ended. exit: status, negative for a signal; limit: the code of the one that it passed;
    export: the code of what is wrong with what it left behind."""

    exit: int | None = None
    limit: str | None = None
    export: str | None = None
    cpu_seconds: float = 0.0
    memory_bytes: int = 0


class Sandboxed:
    """A program in its sandbox: three raw pipes, `end` and `kill`. Leaving the context kills it."""

    def __init__(self, process: "subprocess.Popen[bytes]", report: int, life: int) -> None:
        assert process.stdin and process.stdout and process.stderr
        self.process, self.report, self.life = process, report, life
        self.stdin, self.stdout, self.stderr = (
            pipe.fileno() for pipe in (process.stdin, process.stdout, process.stderr)
        )

    def end(self, seconds: float) -> Ending:
        """Wait for the program to end by itself; `time_limit` and dead when it does not."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return Ending(limit="time_limit")
        return ending(self.report)

    def kill(self) -> None:
        """Let go of the life line, and say so; when the launcher is gone, so is everything it started."""
        if self.life >= 0:
            os.close(self.life)
            self.life = -1
        self.process.terminate()
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()
        os.close(self.report)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()


def start(box: Box) -> Sandboxed:
    """Start the box's program. Raises ArenaUnavailable."""
    found = interpreter(box.python, PROJECT)
    if found.problem or not seccomp.known(platform.machine()):
        raise ArenaUnavailable(f"{found.problem or 'There is no filter for this processor'}.")
    root = box.folder / "root"
    root.mkdir(parents=True, exist_ok=True)
    (plan_out, plan_in), (report_out, report_in), (life_out, life_in) = os.pipe(), os.pipe(), os.pipe()
    with os.fdopen(plan_in, "w") as file:
        json.dump(plan(box, found.program, found.folders, root), file)
    theirs = (plan_out, report_in, life_out)
    process = subprocess.Popen(
        [found.program, "-E", "-s", "-S", "-B", "-m", "training.arena.launcher", *map(str, theirs)],
        cwd=PROJECT,
        env={},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        pass_fds=theirs,
        start_new_session=True,
    )
    for fd in theirs:
        os.close(fd)
    return Sandboxed(process, report_out, life_in)


def plan(box: Box, program: str, folders: tuple[str, ...], root: Path) -> dict[str, Any]:
    """All that the launcher needs to know."""
    limits = box.limits
    switch, uid = another_uid(Path("/proc/self/uid_map").read_text(), os.geteuid(), os.urandom(4))
    return {
        "arguments": [program, "-s", "-P", "-B", *box.arguments],
        "env": {**surroundings(limits), **box.env},
        "root": str(root),
        "shown": folders,
        "files": dict(box.files),
        "export": str(box.export) if box.export else None,
        "switch": switch,
        "uid": uid,
        "disk_bytes": limits.disk_bytes,
        "file_bytes": limits.file_bytes,
        "memory_bytes": limits.memory_bytes,
        "processes": limits.processes,
        "open_files": limits.open_files,
        "cpu_seconds": limits.cpu_seconds,
        "artifact_files": limits.artifact_files,
        "artifact_bytes": limits.artifact_bytes,
    }


def surroundings(limits: Limits) -> dict[str, str]:
    """The environment of every entry, before its own."""
    threads = str(min(limits.threads, os.cpu_count() or 1))
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": "/tmp",
        "TMPDIR": "/tmp",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONHASHSEED": "0",
        **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads),
    }


def another_uid(uid_map: str, ours: int, noise: bytes) -> tuple[bool, int]:
    """Whether we may become another user, and which: one from the end of those there are, that nobody else has."""
    _, _, count = max((tuple(map(int, line.split())) for line in uid_map.splitlines()), key=lambda row: row[2])
    if ours != 0 or count <= 2 * SPREAD:
        return False, ours
    return True, min(count - 1, HIGHEST_UID) - int.from_bytes(noise) % SPREAD


def ending(report: int) -> Ending:
    """Read what the launcher found. Raises ArenaUnavailable where it could not even start the program."""
    with os.fdopen(os.dup(report), "rb") as file:
        line = file.readline()
    found = json.loads(line) if line else {"setup": "the launcher ended without a report"}
    if "setup" in found:
        raise ArenaUnavailable(f"The sandbox cannot be made: {found['setup']}.")
    return Ending(**found)


def why_not(python: str = sys.executable) -> str | None:
    """Why this system cannot run entries with this interpreter, or None when it has just run one."""
    if platform.system() != "Linux":
        return "entries run on Linux only"
    if within(str(PROJECT), "/usr"):
        return "the project lies below /usr, which entries see"
    return tried(python)


@functools.lru_cache
def tried(python: str) -> str | None:
    """Run the smallest program; asked once a process."""
    with tempfile.TemporaryDirectory() as folder:
        box = Box(python=python, arguments=("-c", "pass"), folder=Path(folder), limits=Limits())
        try:
            with start(box) as sandboxed:
                found = sandboxed.end(SETUP_SECONDS)
        except ArenaUnavailable as refusal:
            return refusal.message
    return None if found == Ending(**{**vars(found), "exit": 0, "limit": None}) else "the smallest program does not run"
