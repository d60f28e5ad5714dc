"""Claims of files: logs and submissions read together."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from errors import InvalidValue, shown
from training.arena.logs import read_log
from training.arena.submissions import disagreements, read_submission

LARGEST = 64 * 1024 * 1024
"""Bytes of a file that is read; logs have some ten thousand."""


def claims(files: Sequence[Path]) -> dict[str, Any]:
    """What logs (any file) and submissions (`.json`) claim, and where they disagree with each other."""
    data = {file: read(file) for file in files}
    logs = {file: read_log(text) for file, text in data.items() if file.suffix != ".json"}
    submissions = {file: read_submission(text) for file, text in data.items() if file.suffix == ".json"}
    return {
        "logs": [{"file": str(file), **asdict(log)} for file, log in logs.items()],
        "submissions": [{"file": str(file), **asdict(one)} for file, one in submissions.items()],
        "disagreements": [text for one in submissions.values() for text in disagreements(one, list(logs.values()))],
    }


def read(file: Path) -> bytes:
    """The bytes of a file of a size that a log may have."""
    if (size := file.stat().st_size) > LARGEST:
        raise InvalidValue(f"{shown(file.name)} has {size} bytes; a log has at most {LARGEST}.")
    return file.read_bytes()
