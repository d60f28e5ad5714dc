"""Garbage collection: which files nobody needs, and their removal (`igla gc`)."""

from collections.abc import Iterable, Set
from dataclasses import dataclass
from datetime import datetime, timedelta

from db import artifacts
from server.heldout import manifest_at
from server.runtime import Runtime
from training.artifacts import Held

GRACE_SECONDS = 24 * 3600.0
"""How long a file stays that no row names: it may have been brought for a row that is still to come."""


@dataclass(frozen=True, kw_only=True)
class Collected:
    """What was removed, or with a dry run would be. uploads: unfinished ones that nobody went on with."""

    files: tuple[Held, ...]
    uploads: int

    @property
    def byte_count(self) -> int:
        """Bytes of the files."""
        return sum(file.byte_count for file in self.files)


def garbage(files: Iterable[Held], named: Set[str], now: datetime, grace_seconds: float) -> list[Held]:
    """The files that no row names and that were written before the grace period. Pure."""
    before = now - timedelta(seconds=grace_seconds)
    return [file for file in files if file.digest not in named and file.written_at < before]


def collect(runtime: Runtime, now: datetime, grace_seconds: float, *, dry_run: bool) -> Collected:
    """Remove what nobody needs."""
    files = list(runtime.artifacts.listing())  # before the names: what comes later is young
    found = garbage(files, named(runtime), now, grace_seconds)
    if dry_run:
        return Collected(files=tuple(found), uploads=0)
    gone = tuple(file for file in found if collect_one(runtime, file.digest, now, grace_seconds))
    return Collected(files=gone, uploads=runtime.uploads.sweep(grace_seconds, now))


def named(runtime: Runtime) -> set[str]:
    """Every file that a row names, and the splits of every corpus among them."""
    with runtime.store.reading() as session:
        digests = artifacts.named(session)
        corpora = {*artifacts.races_corpora(session), *runtime.track_digests()}
    digests |= corpora
    manifests = (manifest_at(runtime.artifacts, corpus) for corpus in corpora)
    return digests | {split.sha256 for one in manifests if one is not None for split in one.splits.values()}


def collect_one(runtime: Runtime, digest: str, now: datetime, grace_seconds: float = 0.0) -> bool:
    """Remove a file unless it was brought again within the grace period or a row has come to need it."""
    with runtime.store.transaction() as session:
        if not artifacts.collect(session, digest, now - timedelta(seconds=grace_seconds), now):
            return False
        runtime.artifacts.remove(digest)
        return True
