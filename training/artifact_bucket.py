"""Artifact bucket: artifacts in S3-compatible storage, through fsspec. Needs the extra `s3`; no torch."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import fsspec

from training.artifacts import BLOCK, DIGEST, Artifacts, Held, checked, missing


class ArtifactBucket(Artifacts):
    """Artifacts below one address such as `s3://bucket/prefix`. An object appears whole or not at all.

    Credentials and endpoint come from the environment, as for every S3 client: AWS_ACCESS_KEY_ID,
    AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL. Nothing is cached: other processes write too.
    """

    def __init__(self, address: str) -> None:
        self.fs, root = fsspec.core.url_to_fs(address, use_listings_cache=False)
        self.root = root.rstrip("/")

    def put(self, data: bytes) -> str:
        """See `Artifacts`. What is there already with this size is left alone."""
        digest = hashlib.sha256(data).hexdigest()
        if digest not in self or self.size(digest) != len(data):
            self.fs.pipe_file(self.path(digest), data)
        return digest

    def take(self, file: Path, digest: str) -> None:
        """Send the file in parts, then remove it."""
        self.fs.put_file(str(file), self.path(digest))
        file.unlink()

    def size(self, digest: str) -> int:
        """See `Artifacts`."""
        try:
            return int(self.fs.info(self.path(digest))["size"])
        except FileNotFoundError:
            raise missing(digest) from None

    def blocks(self, digest: str, start: int, stop: int) -> Iterator[bytes]:
        """See `Artifacts`."""
        try:
            file = self.fs.open(self.path(digest), "rb", block_size=16 * BLOCK, cache_type="readahead")
        except FileNotFoundError:
            raise missing(digest) from None
        with file:
            file.seek(start)
            while start < stop and (block := file.read(min(BLOCK, stop - start))):
                start += len(block)
                yield block

    def remove(self, digest: str) -> None:
        """See `Artifacts`."""
        path = self.path(digest)
        if self.fs.exists(path):
            self.fs.rm_file(path)

    def listing(self) -> Iterator[Held]:
        """See `Artifacts`."""
        for path, found in self.fs.find(self.root, detail=True).items():
            name = path.rsplit("/", 1)[-1]
            if DIGEST.fullmatch(name):
                yield Held(digest=name, byte_count=found["size"], written_at=found["LastModified"])

    def path(self, digest: str) -> str:
        """The name of an object."""
        return f"{self.root}/{checked(digest)}"

    def __contains__(self, digest: object) -> bool:
        return isinstance(digest, str) and DIGEST.fullmatch(digest) is not None and self.fs.exists(self.path(digest))
