"""igla processes forked from one that has imported everything: they run the command line's own `main`.

Imports are most of what a short process costs, with torch two seconds of processor time. `Forked` takes words of the
command line and looks like a `subprocess.Popen`. A server that was forked has its engines forked, too. What is about
the start of a process itself, or about what it imports, is tested with real ones.
"""

import atexit
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from functools import cache
from pathlib import Path
from subprocess import PIPE

ROOT = Path(__file__).parents[1]
HERE = {"address": ""}
"""Where the first process answers: set in it, and so in all that are forked from it."""


class Forked:
    """`igla WORDS` as a process of its own; its streams and methods are those of `subprocess.Popen`.

    script: runs in place of igla, as somewhere without our packages.
    """

    def __init__(self, words, *, script=None, cwd=ROOT, env=None, stdin=None, stdout=None, stderr=None, text=False):
        given, ours = zip(*(ends(number, each) for number, each in enumerate((stdin, stdout, stderr))), strict=True)
        self.stdin, self.stdout, self.stderr = (
            None if fd is None else open(fd, ("w" if number == 0 else "r") + ("" if text else "b"))  # noqa: SIM115
            for number, fd in enumerate(ours)
        )
        self.args, self.returncode, self.lock = list(words), None, threading.Lock()
        self.line = socket.socket(socket.AF_UNIX)
        self.line.connect(address())
        asked = {
            "words": self.args,
            "script": script and str(script),
            "cwd": str(cwd),
            "env": dict(os.environ if env is None else env),
        }
        self.line.sendall(b"f")
        socket.send_fds(self.line, [b"s"], given)
        for fd, each in zip(given, (stdin, stdout, stderr), strict=True):
            if each in (PIPE, subprocess.DEVNULL):
                os.close(fd)
        self.line.sendall(json.dumps(asked).encode() + b"\n")
        (self.pid,) = struct.unpack("<i", self.line.recv(4, socket.MSG_WAITALL))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for pipe in (self.stdin, self.stdout, self.stderr):
            if pipe:
                pipe.close()
        self.wait()

    def wait(self, timeout=None):
        with self.lock:
            if self.returncode is None:
                if not select.select([self.line], [], [], timeout)[0]:
                    raise subprocess.TimeoutExpired(self.args, timeout)
                (status,) = struct.unpack("<i", self.line.recv(4, socket.MSG_WAITALL))
                self.returncode = os.waitstatus_to_exitcode(status)
                self.line.close()
        return self.returncode

    def poll(self):
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout=None):
        """What it wrote to its pipes, to their end."""
        said = {}
        readers = [
            threading.Thread(target=lambda name=name, pipe=pipe: said.update({name: pipe.read()}), daemon=True)
            for name, pipe in (("out", self.stdout), ("err", self.stderr))
            if pipe and not pipe.closed
        ]
        for reader in readers:
            reader.start()
        self.wait(timeout)
        for reader in readers:
            reader.join()
        for pipe in (self.stdout, self.stderr):
            if pipe:
                pipe.close()
        return said.get("out"), said.get("err")


def run(words, *, check=True, timeout=120, **options):
    """The process at its end, as `subprocess.run` gives it with its output as text."""
    process = Forked(words, stdout=PIPE, stderr=PIPE, text=True, **options)
    try:
        out, err = process.communicate(timeout)
    finally:
        process.kill()
    done = subprocess.CompletedProcess(process.args, process.returncode, out, err)
    if check:
        done.check_returncode()
    return done


def ends(number, stream):
    """What the process gets as this stream, and our end of it."""
    if stream == PIPE:
        reading, writing = os.pipe()
        return (reading, writing) if number == 0 else (writing, reading)
    if stream == subprocess.DEVNULL:
        return os.open(os.devnull, os.O_RDWR), None
    return (number if stream is None else stream.fileno()), None


@cache
def address():
    """Where the first process answers; here it is started, unless this is one that was forked from it."""
    if HERE["address"]:
        return HERE["address"]
    folder = tempfile.TemporaryDirectory(prefix="igla-forks-")
    where = f"{folder.name}/socket"
    one = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.forking", where]
    first = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **one}, stdin=PIPE, stdout=PIPE)

    def end():
        first.stdin.close()
        first.stdout.close()
        first.wait()
        folder.cleanup()

    atexit.register(end)
    assert first.stdout.readline() == b"ready\n"
    return where
