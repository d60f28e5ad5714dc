"""A sample that an enrolled worker signed is measured; with anything wrong about its receipt it is claimed."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from db import workers
from errors import InvalidValue, UnknownName
from server.client import Ticket
from server.client_reading import read
from server.runtime import open_runtime
from server.settings import Settings
from server.work_command import public_key
from server.worker import Run, claims
from tests.remote import Hand, small_race, use
from training.receipts import SCORER, sign
from training.scorer import VERSION

KEY = Ed25519PrivateKey.from_private_bytes(b"w" * 32)
OTHER = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
SCOPES = ("work", "measure")


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A race of many jobs, and one enrolled worker."""
    runtime = open_runtime(Settings(data=tmp_path_factory.mktemp("signed")))
    small_race(runtime, seeds=tuple(range(1, 40)))
    enroll(runtime, "gpu-box", KEY)
    yield runtime
    runtime.store.close()


@pytest.fixture
def hand(shared):
    return Hand(runtime=shared, scopes=SCOPES)


def enroll(runtime, name, key):
    with runtime.store.transaction() as session:
        workers.enroll(session, name, public_key(key), runtime.context().now)


def receipt(hand, chunk, key=KEY, **lies):
    """The receipt of a chunk, stating something else where told to."""
    run = Run(ticket=read(Ticket, hand.ticket), step=0, checkpoint=None)
    stated = {**vars(claims(run, chunk)), **lies}
    return sign(type(claims(run, chunk))(**stated), key)


def signed(hand, key=KEY, **changes):
    """Train and report a chunk with its receipt."""
    chunk = hand.train()
    return chunk, hand.report(chunk, **{"receipt": receipt(hand, chunk, key), **changes})


def test_the_version_that_receipts_are_checked_for_is_the_scorers():
    assert SCORER == VERSION


def test_a_signed_sample_is_measured_and_shows_who_did(hand):
    chunk, written = signed(hand)
    assert (written["provenance"], written["note"], written["decision"]["reason"]) == (
        "measured",
        None,
        "too_few_peers",
    )
    (sample,) = hand.status["curve"]
    assert (sample["bpb"], sample["provenance"], sample["measured_by"]) == (chunk.score.bpb, "measured", "gpu-box")


def test_the_same_receipt_sent_again_changes_nothing(hand):
    chunk, _ = signed(hand)
    again = hand.report(chunk, receipt=receipt(hand, chunk))
    assert (again["stored"], again["duplicates"], again["provenance"]) == (0, 1, "measured")


def claimed(hand, written, note):
    """Stored as claimed, with the reason told."""
    assert (written["stored"], written["provenance"], written["note"]) == (1, "claimed", note)
    assert [one["provenance"] for one in hand.status["curve"]] == ["claimed"]
    assert hand.status["curve"][0]["measured_by"] == "worker"


LIES = [
    ("step", {"step": 11}),
    ("fence", {"fence": 0}),
    ("job", {"job": "x" * 36}),
    ("recipe", {"recipe": "0" * 64}),
    ("checkpoint", {"checkpoint": "0" * 64}),
    ("corpus", {"corpus": "0" * 64}),
    ("split", {"split": "train"}),
    ("environment", {"environment": "0" * 64}),
    ("scorer", {"scorer": "0"}),
    ("nll_sum", {"nll_sum": 1.0}),
    ("byte_count", {"byte_count": 1}),
]


@pytest.mark.parametrize(("field", "lie"), LIES)
def test_a_receipt_for_something_else_measures_nothing(hand, field, lie):
    chunk = hand.train()
    claimed(hand, hand.report(chunk, receipt=receipt(hand, chunk, **lie)), f"the receipt is for another {field}")


def test_a_forged_receipt_measures_nothing(hand):
    chunk = hand.train()
    forged = {**receipt(hand, chunk), "signature": receipt(hand, chunk, OTHER)["signature"]}
    claimed(hand, hand.report(chunk, receipt=forged), "the receipt's signature is wrong")


def test_a_receipt_by_a_key_that_is_not_enrolled_measures_nothing(hand):
    claimed(hand, signed(hand, OTHER)[1], "the receipt's key is not enrolled")


def test_a_receipt_replayed_for_another_job_measures_nothing(shared, hand):
    chunk, _ = signed(hand)
    other = Hand(runtime=shared, scopes=SCOPES)
    mine = other.train()
    written = other.report(mine, receipt=receipt(hand, chunk))
    assert written["provenance"] == "claimed"
    assert written["note"].startswith("the receipt is for another job")


def test_a_receipt_over_a_part_of_the_split_measures_nothing(hand):
    chunk = hand.train()
    half = {"nll_sum": chunk.score.nll_sum / 2, "byte_count": chunk.score.byte_count // 2}
    value = {"step": chunk.step, "bpb": chunk.score.bpb, **half}
    written = hand.report(chunk, samples=[value], receipt=receipt(hand, chunk, **half))
    claimed(hand, written, "the receipt is for another part of the split")


def test_a_token_without_the_scope_measure_measures_nothing(shared):
    plain = Hand(runtime=shared, scopes=("work",))
    claimed(plain, signed(plain)[1], "the token lacks the scope measure")


def test_a_checkpoint_that_is_not_here_measures_nothing(shared, hand):
    chunk = hand.train()
    answered = {
        **vars(claims(Run(ticket=read(Ticket, hand.ticket), step=0, checkpoint=None), chunk)),
        "checkpoint": "1" * 64,
    }
    false = sign(type(claims(Run(ticket=read(Ticket, hand.ticket), step=0, checkpoint=None), chunk))(**answered), KEY)
    value = {"step": chunk.step, **{name: getattr(chunk.score, name) for name in ("bpb", "nll_sum", "byte_count")}}
    with pytest.raises(Exception, match="artifact_missing"):
        hand.use(
            "write_bpb", **hand.held, samples=[value], effective_digest=chunk.effective_digest, checkpoint="1" * 64,
            environment=chunk.environment, receipt=false,
        )  # fmt: skip
    assert hand.status["curve"] == []


def test_a_revoked_worker_measures_nothing_more_and_what_it_measured_stays(shared):
    key = Ed25519PrivateKey.from_private_bytes(b"r" * 32)
    enroll(shared, "rented", key)
    hand = Hand(runtime=shared, scopes=SCOPES)
    assert signed(hand, key)[1]["provenance"] == "measured"
    with shared.store.transaction() as session:
        workers.revoke(session, "rented", shared.context().now)
    assert signed(hand, key)[1]["provenance"] == "claimed"
    assert [(one["provenance"], one["measured_by"]) for one in hand.status["curve"]] == [
        ("measured", "rented"),
        ("claimed", "worker"),
    ]
    with pytest.raises(workers.WorkerEnrolled, match="revoked"):
        enroll(shared, "rented", key)
    with pytest.raises(UnknownName), shared.store.transaction() as session:
        workers.revoke(session, "rented", shared.context().now)


@pytest.mark.parametrize("key", ["", "no base64!", base64.b64encode(b"short").decode()])
def test_what_is_no_key_is_not_enrolled(shared, key):
    with pytest.raises(InvalidValue, match="32 bytes"), shared.store.transaction() as session:
        workers.enroll(session, "w", key, shared.context().now)


def test_a_name_is_enrolled_once(shared):
    with pytest.raises(workers.WorkerEnrolled, match="gpu-box"):
        enroll(shared, "gpu-box", OTHER)


def test_a_job_that_an_enrolled_worker_finished_ranks(shared, hand):
    while hand.step < hand.ticket["total_steps"]:
        chunk, written = signed(hand)
    assert (written["decision"]["action"], hand.status["provenance"]) == ("done", "measured")
    assert hand.status["job"]["final_bpb"] == chunk.score.bpb


def test_outgrown_checkpoints_of_signed_samples_are_let_go(shared, hand):
    first, _ = signed(hand)
    signed(hand)
    assert first.checkpoint not in shared.artifacts


def test_a_run_that_began_elsewhere_starts_over_for_a_worker_in_another_environment(shared, hand):
    chunk, _ = signed(hand)
    hand.use("release_job", **hand.held)
    claim = {"worker": "w", "race": "cup", "n": 64}
    same = claim_one(shared, hand, **claim, environment=chunk.environment)
    assert (same["start_step"], same["checkpoint"]) == (10, chunk.checkpoint)
    use(shared, "release_job", job_id=same["job_id"], fence=same["fence"])
    other = claim_one(shared, hand, **claim, environment="e" * 64)
    assert (other["start_step"], other["checkpoint"], other["steps"]) == (0, None, 10)
    assert hand.status["curve"] == []


def claim_one(runtime, hand, **claim):
    """Claim everything, keep the hand's job and give the rest back."""
    tickets = use(runtime, "claim_job", **claim)["tickets"]
    for ticket in tickets:
        if ticket["job_id"] != hand.held["job_id"]:
            use(runtime, "release_job", job_id=ticket["job_id"], fence=ticket["fence"])
    return next(ticket for ticket in tickets if ticket["job_id"] == hand.held["job_id"])
