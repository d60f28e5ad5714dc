"""Receipts of trials: an Ed25519 signature over what was found of which entry on what text. No torch."""

import base64
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from training.receipts import key_id, message

TITLE = b"igla trial receipt 1\n"


@dataclass(frozen=True, kw_only=True)
class TrialClaims:
    """What a receipt states: this run of this entry scored nll_sum nats over byte_count bytes of this split.

    script: SHA-256 of the script that ran. contest: digest of track, corpus, limits and protocol.
    """

    run: str
    fence: int
    entry: str
    script: str
    seed: int
    track: str
    contest: str
    corpus: str
    split: str
    mode: str
    provenance: str
    nll_sum: float
    byte_count: int
    code_bytes: int
    artifact_bytes: int


def sign(claims: TrialClaims, key: Ed25519PrivateKey) -> dict[str, Any]:
    """A receipt: the claims, the signing key's id and the signature (base64)."""
    body = {**asdict(claims), "key": key_id(key.public_key())}
    return {**body, "signature": base64.b64encode(key.sign(message(body, TITLE))).decode()}


def verify(receipt: Mapping[str, Any], key: Ed25519PublicKey) -> TrialClaims | None:
    """The claims of a receipt that this key signed, unchanged; else None."""
    body = {name: value for name, value in receipt.items() if name != "signature"}
    try:
        key.verify(base64.b64decode(str(receipt.get("signature", "")), validate=True), message(body, TITLE))
        return TrialClaims(**{name: value for name, value in body.items() if name != "key"})
    except (InvalidSignature, ValueError, TypeError):
        return None
