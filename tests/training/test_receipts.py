from dataclasses import asdict, replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from training.receipts import Claims, sign, verify

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
CLAIMS = Claims(
    job="j",
    fence=3,
    step=40,
    nll_sum=12345.678901234567,
    byte_count=65536,
    corpus="c" * 64,
    split="validation",
    recipe="r" * 64,
    checkpoint="p" * 64,
    environment="e" * 64,
    scorer="1",
)


def test_a_receipt_gives_its_claims_back_to_the_last_bit():
    assert verify(sign(CLAIMS, KEY), KEY.public_key()) == CLAIMS


@pytest.mark.parametrize("field", list(asdict(CLAIMS)))
def test_a_receipt_with_any_field_changed_is_worth_nothing(field):
    value = getattr(CLAIMS, field)
    forged = {**sign(CLAIMS, KEY), field: value + "x" if isinstance(value, str) else value + 1}
    assert verify(forged, KEY.public_key()) is None


def test_another_key_or_a_broken_signature_is_worth_nothing():
    other = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
    receipt = sign(CLAIMS, KEY)
    broken = [{**receipt, "signature": text} for text in ("", "not base64!", receipt["signature"][:-8])]
    assert verify(receipt, other.public_key()) is None
    assert [verify(one, KEY.public_key()) for one in broken] == [None] * 3


def test_a_receipt_may_not_be_stretched_by_further_fields():
    assert verify({**sign(CLAIMS, KEY), "rank": 1}, KEY.public_key()) is None


def test_numbers_are_signed_exactly():
    near = replace(CLAIMS, nll_sum=CLAIMS.nll_sum + 2e-12)
    assert sign(near, KEY)["signature"] != sign(CLAIMS, KEY)["signature"]
