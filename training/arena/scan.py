"""Look at what training left behind before it may predict: files, size, formats, and held-out text in any form."""

import os
from collections.abc import Sequence
from pathlib import Path

from training.arena.console import Failed
from training.arena.formats import wrong_format
from training.arena.leaks import grams, leaks
from training.arena.limits import Limits
from training.arena.unpack import TooMuch


def artifact_files(artifact: Path) -> dict[str, bytes]:
    """The files of an artifact that the sandbox gave out, by name."""
    paths = sorted(Path(folder) / name for folder, _, names in os.walk(artifact) for name in names)
    return {str(path.relative_to(artifact)): path.read_bytes() for path in paths}


def artifact_size(files: dict[str, bytes]) -> int:
    """Bytes of all files and of their names, which can carry data too."""
    return sum(len(name.encode()) + len(data) for name, data in files.items())


def check_artifact(files: dict[str, bytes], script: bytes, limits: Limits) -> None:
    """Size and formats. Raises Failed."""
    size = artifact_size(files) + len(script)
    if size > limits.artifact_bytes:
        raise Failed("artifact_size", f"Code and artifact have {size} bytes; {limits.artifact_bytes} are allowed.")
    for name, data in files.items():
        if wrong := wrong_format(name, data):
            raise Failed("artifact_format", f"{wrong[0].upper()}{wrong[1:]}.")


def check_leaks(files: dict[str, bytes], script: bytes, heldout: Sequence[bytes], train_text: bytes) -> None:
    """Held-out text. Raises Failed (heldout_in_script, heldout_in_artifact, artifact_bomb)."""
    wanted = grams(heldout)
    whole = b"".join(data for _, data in sorted(files.items()))
    try:
        if leaks(wanted, script, train_text):
            raise Failed("heldout_in_script", "The script holds bytes of the held-out text.")
        if any(leaks(wanted, data, train_text) for data in {*files.values(), whole}):
            raise Failed("heldout_in_artifact", "The artifact holds bytes of the held-out text.")
    except TooMuch:
        raise Failed("artifact_bomb", "A file unpacks to more than can be looked at.") from None
