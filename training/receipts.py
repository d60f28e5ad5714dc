"""Receipts: an Ed25519 signature over what was measured on what. Anyone with the public key can check one; no torch."""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SCORER = "1"
"""The version of `training.scorer` whose receipts count. It is told here too so that checking one needs no torch."""


@dataclass(frozen=True, kw_only=True)
class Claims:
    """What a receipt states: this checkpoint of this run scored nll_sum nats over byte_count bytes of this split."""

    job: str
    fence: int
    step: int
    nll_sum: float
    byte_count: int
    corpus: str
    split: str
    recipe: str
    checkpoint: str
    environment: str
    scorer: str


def sign(claims: Claims, key: Ed25519PrivateKey) -> dict[str, Any]:
    """A receipt: the claims, the signing key's id and the signature (base64)."""
    body = {**asdict(claims), "key": key_id(key.public_key())}
    return {**body, "signature": base64.b64encode(key.sign(message(body))).decode()}


def verify(receipt: Mapping[str, Any], key: Ed25519PublicKey) -> Claims | None:
    """The claims of a receipt that this key signed, unchanged; else None."""
    body = {name: value for name, value in receipt.items() if name != "signature"}
    try:
        key.verify(base64.b64decode(str(receipt.get("signature", "")), validate=True), message(body))
        return Claims(**{name: value for name, value in body.items() if name != "key"})
    except (InvalidSignature, ValueError, TypeError):
        return None


def differences(claims: Claims, expected: Claims) -> list[str]:
    """Names of the fields in which a receipt states something else than it should; floats to the last bit."""
    return [field.name for field in fields(Claims) if getattr(claims, field.name) != getattr(expected, field.name)]


def key_id(key: Ed25519PublicKey) -> str:
    """First 16 hexadecimal characters of the SHA-256 of the raw public key."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def message(body: Mapping[str, Any], title: bytes = b"igla receipt 1\n") -> bytes:
    """The bytes that are signed: canonical JSON, floats in shortest form, behind a title that tells what is stated."""
    return title + json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
