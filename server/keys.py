"""The key that signs this server's receipts: made at first use, kept in the data folder, readable by its owner."""

import os
from functools import lru_cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


@lru_cache
def signing_key(data: Path) -> Ed25519PrivateKey:
    """Read the key, or make it. Processes that start together agree: the first file wins."""
    file = data / "scorer.key"
    if not file.exists():
        own = data / f"scorer.key.{os.getpid()}"
        descriptor = os.open(own, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(Ed25519PrivateKey.generate().private_bytes_raw())
            out.flush()
            os.fsync(out.fileno())
        try:
            os.link(own, file)
        except FileExistsError:
            pass
        finally:
            own.unlink()
    return Ed25519PrivateKey.from_private_bytes(file.read_bytes())
