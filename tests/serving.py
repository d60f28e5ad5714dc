"""`igla serve` for tests: forked from a process that has imported everything, or started as a user does."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.forked import ROOT, Forked

IGLA = [sys.executable, "-m", "server.cli"]
"""The command line as a process that imports for itself."""

ENGINE = ("--engines", "1", "--scorers", "0", "--arenas", "0")
"""Options of a server with an engine and nothing else beside it."""

TINY = {
    "width": 16, "blocks": 1, "heads": 1, "mlp_ratio": 1, "window": 16, "context": 64, "batch": 4, "ngram": 2,
    "ngram_buckets": 512,
}  # fmt: skip
"""A recipe that trains and scores in well under a second."""

QUICK_END = {"IGLA_GRACE_SECONDS": "1"}
"""A test that stops a server in the middle of a chunk does not wait for the chunk."""


def fresh(words: list[str], check: bool = True) -> subprocess.CompletedProcess[str]:
    """`igla WORDS` in a process that imports for itself, at its end."""
    return subprocess.run([*IGLA, *words], cwd=ROOT, capture_output=True, text=True, check=check, timeout=300)


class Served:
    """`igla serve` as a process of its own on a free port. fresh: started by itself, with its own imports."""

    def __init__(self, data: Path, *options: str, env: dict[str, str] | None = None, fresh: bool = False) -> None:
        words = ["serve", "--port", "0", "--data", str(data), *options]
        begin = partial(subprocess.Popen, [*IGLA, *words]) if fresh else partial(Forked, words)
        around = {**QUICK_END, **os.environ, "IGLA_CLOCKS": "0", **(env or {})}
        self.process = begin(cwd=ROOT, stderr=subprocess.PIPE, text=True, env=around)
        assert self.process.stderr is not None
        lines = iter(self.process.stderr.readline, "")
        said = next((line for line in lines if "igla serves" in line), None)
        assert said, f"the server ended with {self.process.wait()}"
        self.url = said.split()[2]

    def stop(self, how: int = signal.SIGTERM) -> None:
        self.process.send_signal(how)
        self.process.wait(30)
        assert self.process.stderr is not None
        self.process.stderr.close()


@contextmanager
def serving(data: Path, *options: str, env: dict[str, str] | None = None, fresh: bool = False) -> Iterator[Served]:
    server = Served(data, *options, env=env, fresh=fresh)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()
