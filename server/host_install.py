"""Putting igla into an MCP host's file on this machine: found, read, changed, kept aside, replaced in one step."""

import difflib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from db.redaction import redactor
from errors import InvalidValue, Refusal
from server.host_files import HostFileUnreadable
from server.hosts import Host


class HostFileChanged(Refusal):
    """Somebody else wrote the file in the same moment and nothing was written here. Run the command again."""

    code = "host_file_changed"
    status = 409


@dataclass(frozen=True, kw_only=True)
class Change:
    """What becomes of a file. before is None where there is no file yet."""

    file: Path
    before: str | None
    after: str

    @property
    def is_none(self) -> bool:
        """Whether nothing is to be done."""
        return (self.before or "") == self.after

    def diff(self, secret: str = "") -> str:
        """What changes, without the lines around it, which may hold the secrets of others, and without our own."""
        old, new = (laid_out(text) for text in (self.before or "", self.after))
        lines = difflib.unified_diff(old, new, str(self.file), str(self.file), n=0, lineterm="")
        return redactor([secret])("\n".join(lines))


def laid_out(text: str) -> list[str]:
    """The lines to compare: of JSON those of one layout, since a line that is only written anew may hold a secret."""
    try:
        whole = json.dumps(json.loads(text), indent=2)
    except (ValueError, RecursionError):
        return text.splitlines()
    return [line.rstrip(",") for line in whole.splitlines()]


def place(host: Host, *, project: bool, environ: Mapping[str, str], home: Path, here: Path) -> Path:
    """Where a host's file lies; a link leads to the file that it stands for."""
    if project:
        return (here / host.project_file).resolve()
    if not host.file.startswith("~/"):
        raise InvalidValue(f"The file of {host.title} lies in a project: add --project.")
    if host.home and environ.get(host.home):
        return (Path(environ[host.home]) / Path(host.file).name).resolve()
    return (home / host.file.removeprefix("~/")).resolve()


def change(file: Path, edit: Callable[[str], str]) -> Change:
    """What an edit makes of a file. Reads it and writes nothing."""
    try:
        before = file.read_bytes().decode() if file.exists() else None
    except UnicodeDecodeError:
        raise HostFileUnreadable(f"{file} is not UTF-8.") from None
    return Change(file=file, before=before, after=edit(before or ""))


def apply(change: Change, now: datetime) -> Path | None:
    """Write a change in one step and give the copy of what was there before. The file keeps its mode.

    Raises HostFileChanged where the file is no longer what was read.
    """
    file = change.file
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
    try:
        with os.fdopen(handle, "wb") as made:
            made.write(change.after.encode())
            made.flush()
            os.fsync(made.fileno())
        if (file.read_bytes() if file.exists() else None) != encoded(change.before):
            raise HostFileChanged(f"{file} has changed.")
        copy = None
        if change.before is not None:
            copy = file.with_name(f"{file.name}.{now:%Y%m%dT%H%M%S%f}.bak")
            shutil.copy2(file, copy)
            shutil.copymode(file, name)
        os.replace(name, file)
        return copy
    finally:
        Path(name).unlink(missing_ok=True)


def encoded(text: str | None) -> bytes | None:
    """A text as it lies in a file, if there is one."""
    return None if text is None else text.encode()
