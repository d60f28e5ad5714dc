"""Real igla processes for tests."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]

TINY = {"width": 32, "blocks": 1, "heads": 2, "window": 32, "context": 64, "batch": 4, "ngram": 2, "ngram_buckets": 512}
"""A recipe that trains and scores in well under a second."""

QUICK_END = {"IGLA_GRACE_SECONDS": "1"}
"""A test that stops a server in the middle of a chunk does not wait for the chunk."""


class Served:
    """`igla serve` as a process of its own on a free port."""

    def __init__(self, data: Path, *options: str, env: dict[str, str] | None = None) -> None:
        command = [sys.executable, "-m", "server.cli", "serve", "--port", "0", "--data", str(data), *options]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
            env={**QUICK_END, **os.environ, "IGLA_CLOCKS": "0", **(env or {})},
        )
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
def serving(data: Path, *options: str, env: dict[str, str] | None = None) -> Iterator[Served]:
    server = Served(data, *options, env=env)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()
