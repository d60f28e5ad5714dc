"""Where an interpreter keeps its files: what must be seen inside for it to run."""

import functools
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

ASK = (
    "import json, os, sys; print(json.dumps([sys.prefix, sys.base_prefix, sys.executable, list(sys.version_info[:2])]))"
)
ASK_SECONDS = 30.0
OLDEST = (3, 11)


@dataclass(frozen=True, kw_only=True)
class Interpreter:
    """folders: what must be shown beside the system's own folders; problem: why it cannot be used, else None."""

    program: str
    folders: tuple[str, ...] = ()
    problem: str | None = None


@functools.lru_cache
def interpreter(python: str, hidden: Path) -> Interpreter:
    """Ask the interpreter. hidden: a folder that no entry may see, which none of its folders may hold."""
    if not os.access(python, os.X_OK):
        return Interpreter(program=python, problem=f"{python} cannot be run by this user")
    asked = subprocess.run([python, "-I", "-c", ASK], capture_output=True, text=True, timeout=ASK_SECONDS, check=False)
    if asked.returncode:
        return Interpreter(program=python, problem=f"{python} does not start")
    prefix, base, program, version = json.loads(asked.stdout)
    if tuple(version) < OLDEST:
        return Interpreter(program=python, problem=f"{python} is older than Python {OLDEST[0]}.{OLDEST[1]}")
    folders = tuple(sorted({str(path) for path in (prefix, base) if not within(path, "/usr")}))
    if any(within(str(hidden), folder) for folder in folders):
        return Interpreter(program=python, problem=f"{python} lies in a folder that holds this project")
    return Interpreter(program=program, folders=folders)


def within(path: str, folder: str) -> bool:
    """Whether a path is the folder or below it."""
    return Path(path).is_relative_to(folder)
