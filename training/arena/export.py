"""Take what an entry left behind out of its sandbox: plain files and folders only. Runs after the entry is dead."""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

DEEPEST = 16


def export(source: Path, target: int, *, files: int, size: int) -> str | None:
    """Copy the tree `source` into the open folder `target`, or say by its code what is wrong and copy nothing."""
    found, total = [], 0
    for path in tree(source):
        found.append(path)
        wrong = offence(path, source)
        if wrong is None and len(found) > files:
            wrong = "artifact_files"
        total += 0 if path.is_dir() else path.lstat().st_size
        if wrong is None and total > size:
            wrong = "artifact_size"
        if wrong:
            return wrong
    for path in found:
        name = str(path.relative_to(source))
        if path.is_dir():
            os.mkdir(name, dir_fd=target)
        else:
            copy(path, name, target)
    return None


def tree(source: Path) -> Iterator[Path]:
    """Everything below a folder, folders before what is in them, in order of name; links are not followed."""
    for path in sorted(source.iterdir()):
        yield path
        if stat.S_ISDIR(path.lstat().st_mode):
            yield from tree(path)


def offence(path: Path, source: Path) -> str | None:
    """Links, devices and the like, and names that are not plain."""
    status, name = path.lstat(), path.relative_to(source)
    if not (stat.S_ISDIR(status.st_mode) or (stat.S_ISREG(status.st_mode) and status.st_nlink == 1)):
        return "artifact_links"
    if len(name.parts) > DEEPEST or not (path.name.isascii() and path.name.isprintable() and len(path.name) <= 100):
        return "artifact_files"
    return None


def copy(path: Path, name: str, target: int) -> None:
    """Copy one file that nobody can change any more."""
    made = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644, dir_fd=target)
    kept = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(kept, "rb") as source, os.fdopen(made, "wb") as file:
        shutil.copyfileobj(source, file)
