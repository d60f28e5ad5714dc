"""Signing keys: made at first use, readable by their owner alone. The server's own lies in the data folder."""

import os
from functools import lru_cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from errors import InvalidValue


def signing_key(data: Path) -> Ed25519PrivateKey:
    """The key that signs this server's receipts."""
    return key_at(data / "scorer.key")


@lru_cache
def key_at(file: Path) -> Ed25519PrivateKey:
    """Read a key, or make it. Processes that start together agree: the first file wins."""
    if not file.exists():
        own = file.with_name(f"{file.name}.{os.getpid()}")
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
    raw = file.read_bytes()
    if len(raw) != 32:
        raise InvalidValue("The key file does not hold an Ed25519 key of 32 bytes; name another one.")
    return Ed25519PrivateKey.from_private_bytes(raw)
