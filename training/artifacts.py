"""Artifacts: files named by the SHA-256 of their bytes. Checkpoints, corpora, entries and reports are artifacts."""

import hashlib
import os
import re
import tempfile
from datetime import datetime
from pathlib import Path

from errors import ArtifactMissing, InvalidValue, Refusal, shown

DIGEST = re.compile(r"[0-9a-f]{64}")
PART = ".part"
"""Suffix of a file that is still being written. No digest ends like this."""


class ArtifactCorrupt(Refusal):
    """The stored bytes were damaged. Upload the artifact again: that replaces them."""

    code = "artifact_corrupt"
    status = 500


class ArtifactFolder:
    """Artifacts in one folder, which is made when the first one is stored. Safe for many processes at once.

    A file under a digest's name is whole: it is written under another name, brought to the disk, and renamed.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, data: bytes) -> str:
        """Store bytes and give their digest; on return they survive a power cut.

        What is there already is compared, not rewritten; a damaged file is replaced.
        """
        digest = hashlib.sha256(data).hexdigest()
        path = self.path(digest)
        self.root.mkdir(parents=True, exist_ok=True)
        if not holds(path, data):
            write(path, data)
        sync_folder(self.root)
        return digest

    def get(self, digest: str) -> bytes:
        """The bytes of an artifact, checked. Raises ArtifactMissing, ArtifactCorrupt, InvalidValue."""
        try:
            data = self.path(digest).read_bytes()
        except FileNotFoundError:
            raise ArtifactMissing(f"There is no artifact {digest}.") from None
        if hashlib.sha256(data).hexdigest() != digest:
            raise ArtifactCorrupt(f"Artifact {digest} holds {len(data)} bytes with another digest.")
        return data

    def path(self, digest: str) -> Path:
        """Where an artifact lies, or would lie. Raises InvalidValue for what is no digest."""
        if not DIGEST.fullmatch(digest):
            raise InvalidValue(f"A digest has 64 lowercase hexadecimal characters, got {shown(digest)}.")
        return self.root / digest

    def __contains__(self, digest: object) -> bool:
        return isinstance(digest, str) and DIGEST.fullmatch(digest) is not None and self.path(digest).is_file()

    def sweep(self, older_than_seconds: float, now: datetime) -> int:
        """Remove what interrupted writers left behind and tell how many files that were. now: aware UTC."""
        before = now.timestamp() - older_than_seconds
        return sum(removed_if_older(part, before) for part in self.root.glob(f"*{PART}"))


def holds(path: Path, data: bytes) -> bool:
    """Whether the file is there with exactly these bytes."""
    try:
        return path.stat().st_size == len(data) and path.read_bytes() == data
    except FileNotFoundError:
        return False


def write(path: Path, data: bytes) -> None:
    """Write a file that appears at `path` whole or not at all."""
    handle, part = tempfile.mkstemp(suffix=PART, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def removed_if_older(part: Path, before: float) -> bool:
    """Remove a file last written before a Unix time; False when it is younger or its writer has just renamed it."""
    try:
        stale = part.stat().st_mtime < before
        if stale:
            part.unlink()
        return stale
    except FileNotFoundError:
        return False


def sync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk: a renamed file is durable only after this."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
