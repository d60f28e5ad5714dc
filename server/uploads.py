"""Uploads under way: files that grow in a folder of their own until they are whole and their SHA-256 is right."""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from errors import Refusal
from training.artifact_kinds import HEAD, check_kind
from training.artifacts import BLOCK, PART, checked, removed_if_older


class WrongOffset(Refusal):
    """Go on at the offset that `HEAD` tells in Upload-Offset, or send the whole file."""

    code = "wrong_offset"
    status = 409


class UploadBusy(Refusal):
    """Wait: the same upload is under way over another connection."""

    code = "upload_busy"
    status = 409


class DigestMismatch(Refusal):
    """Send the file whose SHA-256 stands in the address; what came was dropped."""

    code = "digest_mismatch"
    status = 422


@dataclass(frozen=True, kw_only=True)
class Upload:
    """One upload, open and locked. Closed half-way, it can be gone on with."""

    path: Path
    digest: str
    file: BinaryIO

    @property
    def offset(self) -> int:
        """Bytes that have come."""
        return self.file.tell()

    def write(self, block: bytes) -> None:
        """Add bytes at the end."""
        self.file.write(block)

    def close_checked(self, kind: str) -> int:
        """End a complete upload and give its size. Raises DigestMismatch and WrongKind, and drops the file then."""
        self.file.flush()
        try:
            self.file.seek(0)
            check_kind(kind, self.file.read(HEAD))
            self.file.seek(0)
            hashed = hashlib.sha256()
            while block := self.file.read(BLOCK):
                hashed.update(block)
            if hashed.hexdigest() != self.digest:
                raise DigestMismatch(f"{self.offset} bytes came; their SHA-256 is another one.")
        except Refusal:
            self.drop()
            raise
        return self.offset

    def drop(self) -> None:
        """Forget what has come."""
        self.path.unlink(missing_ok=True)


class Uploads:
    """The folder. Each principal has uploads of its own, so nobody can spoil another's."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, digest: str, principal: str) -> Path:
        """Where an upload lies."""
        return self.root / f"{self.prefix(principal)}{checked(digest)}{PART}"

    def offset(self, digest: str, principal: str) -> int:
        """Bytes of an upload that have come; 0 where there is none."""
        path = self.path(digest, principal)
        return path.stat().st_size if path.exists() else 0

    def reserved(self, principal: str, beside: str) -> int:
        """Bytes of a principal's uploads beside that of one digest."""
        mine = self.root.glob(f"{self.prefix(principal)}*{PART}")
        return sum(path.stat().st_size for path in mine if path != self.path(beside, principal))

    @contextmanager
    def open(self, digest: str, principal: str, start: int) -> Iterator[Upload]:
        """Begin an upload (start 0) or go on with one. Raises UploadBusy, and WrongOffset for another start."""
        self.root.mkdir(parents=True, exist_ok=True)
        path = self.path(digest, principal)
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UploadBusy("Another connection holds this upload.") from None
            if not path.exists() or path.stat().st_ino != os.fstat(file.fileno()).st_ino:
                raise UploadBusy("Another connection has just ended this upload.")  # the open file is the artifact now
            there = file.seek(0, os.SEEK_END)
            if start not in (0, there):
                raise WrongOffset(f"{there} bytes have come; the part begins at {start}.")
            file.truncate(start)
            file.seek(start)
            yield Upload(path=path, digest=digest, file=file)

    def sweep(self, older_than_seconds: float, now: datetime) -> int:
        """Remove uploads that nobody went on with and tell how many."""
        before = now.timestamp() - older_than_seconds
        return sum(removed_if_older(path, before) for path in self.root.glob(f"*{PART}"))

    def prefix(self, principal: str) -> str:
        """What the names of a principal's files begin with."""
        return hashlib.sha256(principal.encode()).hexdigest()[:16] + "-"
