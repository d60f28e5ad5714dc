"""Run boxes and trials, in this process or as a plain user: `python driving.py` answers pickled requests as nobody."""

import contextlib
import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

PROJECT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(PROJECT))

from training.arena.console import Console, Failed, listen  # noqa: E402
from training.arena.entry import digest  # noqa: E402, F401
from training.arena.limits import MIB, Limits  # noqa: E402
from training.arena.sandbox import Box, start  # noqa: E402
from training.arena.trial import run_trial  # noqa: E402

NOBODY = 65534
PLAIN_PYTHON = "/usr/bin/python3"
QUICK = Limits(
    train_seconds=20.0,
    predict_seconds=20.0,
    round_seconds=2.0,
    memory_bytes=256 * MIB,
    processes=16,
    open_files=64,
    disk_bytes=8 * MIB,
    file_bytes=4 * MIB,
    output_bytes=64 * 1024,
    artifact_bytes=1_000_000,
    artifact_files=16,
)


def box(code, *, python, limits=QUICK, seconds=20.0, env=None, files=None):
    """Run code in a sandbox: how it ended (or the name of the failed check), what it printed, and seconds."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        made = {name: work / f"file{number}" for number, name in enumerate(files or {})}
        for name, path in made.items():
            path.write_bytes(files[name])
            path.chmod(0o644)
        export = work / "export"
        export.mkdir()
        outside = {name: str(path) for name, path in made.items()}
        asked = Box(
            python=python,
            arguments=("-c", code),
            folder=work,
            limits=limits,
            env=env or {},
            files=outside,
            export=export,
        )
        console, began = Console(limits.output_bytes), perf_counter()
        with start(asked) as sandboxed:
            try:
                ending = listen(sandboxed, console, seconds)
            except Failed as failed:
                ending = failed.name
        left = {str(path.relative_to(export)): path.read_bytes() for path in export.rglob("*") if path.is_file()}
        return ending, console.text(), perf_counter() - began, left


def trial(entry, **given):
    """One trial in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return run_trial(entry, work=Path(folder), **given)


class Plain:
    """A process of a plain user that does the same; started as root, it gives that up before its first answer."""

    def __init__(self):
        command = [sys.executable, "-B", __file__]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/")

    def __call__(self, name, *arguments, **named):
        pickle.dump((name, arguments, named), self.process.stdin)
        self.process.stdin.flush()
        answer, error = pickle.load(self.process.stdout)
        if error:
            raise error
        return answer

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(10)


def serve():
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    with contextlib.suppress(EOFError):
        while True:
            name, arguments, named = pickle.load(sys.stdin.buffer)
            try:
                answer = {"box": box, "trial": trial}[name](*arguments, **named), None
            except Exception as error:
                answer = None, error
            pickle.dump(answer, sys.stdout.buffer)
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    serve()
