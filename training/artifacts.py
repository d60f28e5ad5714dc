"""Artifacts: files named by the SHA-256 of their bytes. Checkpoints, corpora, entries and reports are artifacts."""

import hashlib
import os
import re
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from errors import ArtifactMissing, InvalidValue, Refusal, shown

DIGEST = re.compile(r"[0-9a-f]{64}")
PART = ".part"
"""Suffix of a file that is still being written. No digest ends like this."""


class ArtifactCorrupt(Refusal):
    """The stored bytes were damaged. Upload the artifact again: that replaces them."""

    code = "artifact_corrupt"
    status = 500


BLOCK = 256 * 1024
"""Bytes that are read or sent at once where a file may be larger than the memory."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """An artifact that is stored, and when it was written (aware UTC)."""

    digest: str
    byte_count: int
    written_at: datetime


class Artifacts(ABC):
    """Where artifacts lie. A file under a digest's name is whole. What is no digest is refused (InvalidValue)."""

    @abstractmethod
    def put(self, data: bytes) -> str:
        """Store bytes and give their digest."""

    @abstractmethod
    def take(self, file: Path, digest: str) -> None:
        """Store a local file whose SHA-256 the caller has checked, and remove it. What is there is replaced."""

    @abstractmethod
    def size(self, digest: str) -> int:
        """Bytes of an artifact. Raises ArtifactMissing."""

    @abstractmethod
    def blocks(self, digest: str, start: int, stop: int) -> Iterator[bytes]:
        """The bytes start..stop of an artifact, unchecked, in blocks of at most BLOCK. Raises ArtifactMissing."""

    @abstractmethod
    def remove(self, digest: str) -> None:
        """Remove an artifact. One that is not there is no mistake."""

    @abstractmethod
    def listing(self) -> Iterator[Held]:
        """Everything that is stored, in no order."""

    @abstractmethod
    def __contains__(self, digest: object) -> bool:
        """Whether the artifact is there; False for what is no digest."""

    def get(self, digest: str) -> bytes:
        """The bytes of an artifact, checked. Raises ArtifactMissing, ArtifactCorrupt, InvalidValue."""
        data = b"".join(self.blocks(digest, 0, self.size(digest)))
        if hashlib.sha256(data).hexdigest() != digest:
            raise ArtifactCorrupt(f"Artifact {digest} holds {len(data)} bytes with another digest.")
        return data

    def is_sound(self, digest: str) -> bool:
        """Whether the artifact is there and undamaged; reads it block by block."""
        if digest not in self:
            return False
        hashed = hashlib.sha256()
        for block in self.blocks(digest, 0, self.size(digest)):
            hashed.update(block)
        return hashed.hexdigest() == digest


class ArtifactFolder(Artifacts):
    """Artifacts in one folder, which is made when the first one is stored. Safe for many processes at once.

    A file is written under another name, brought to the disk, and renamed.
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

    def take(self, file: Path, digest: str) -> None:
        """Rename the file, which must lie on the same file system; on return it survives a power cut."""
        self.root.mkdir(parents=True, exist_ok=True)
        with file.open("rb") as written:
            os.fsync(written.fileno())
        os.replace(file, self.path(digest))
        sync_folder(self.root)

    def size(self, digest: str) -> int:
        """See `Artifacts`."""
        try:
            return self.path(digest).stat().st_size
        except FileNotFoundError:
            raise missing(digest) from None

    def blocks(self, digest: str, start: int, stop: int) -> Iterator[bytes]:
        """See `Artifacts`. The file is opened at the first block: removed after that, it is still read to its end."""
        try:
            file = self.path(digest).open("rb")
        except FileNotFoundError:
            raise missing(digest) from None
        with file:
            file.seek(start)
            while start < stop and (block := file.read(min(BLOCK, stop - start))):
                start += len(block)
                yield block

    def remove(self, digest: str) -> None:
        """See `Artifacts`."""
        self.path(digest).unlink(missing_ok=True)

    def listing(self) -> Iterator[Held]:
        """See `Artifacts`."""
        for path in self.root.glob("*"):
            if DIGEST.fullmatch(path.name):
                found = path.stat()
                written_at = datetime.fromtimestamp(found.st_mtime, UTC)
                yield Held(digest=path.name, byte_count=found.st_size, written_at=written_at)

    def path(self, digest: str) -> Path:
        """Where an artifact lies, or would lie. Raises InvalidValue for what is no digest."""
        return self.root / checked(digest)

    def __contains__(self, digest: object) -> bool:
        return isinstance(digest, str) and DIGEST.fullmatch(digest) is not None and self.path(digest).is_file()

    def sweep(self, older_than_seconds: float, now: datetime) -> int:
        """Remove what interrupted writers left behind and tell how many files that were. now: aware UTC."""
        before = now.timestamp() - older_than_seconds
        return sum(removed_if_older(part, before) for part in self.root.glob(f"*{PART}"))


def checked(digest: str) -> str:
    """The digest. Raises InvalidValue for what is none."""
    if not DIGEST.fullmatch(digest):
        raise InvalidValue(f"A digest has 64 lowercase hexadecimal characters, got {shown(digest)}.")
    return digest


def missing(digest: str) -> ArtifactMissing:
    """The refusal of a digest under which nothing is stored."""
    return ArtifactMissing(f"There is no artifact {digest}.")


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
