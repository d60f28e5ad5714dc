"""Report samples."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import Field

from db import artifacts, queue, races, samples, scores, workers
from db.samples import Batch, SampleIn
from db.session import Session
from tools import LARGEST, LEASE_SECONDS, Context, Decision, Digest, Fence, JobId, decision_of, judge
from training.corpus import manifest_from
from training.receipts import SCORER, Claims, differences, verify

about = {"toolset": "race", "scope": "work", "read_only": False, "destructive": False, "idempotent": True}


Amount = Annotated[int, Field(ge=0, le=LARGEST)] | Annotated[float, Field(ge=0, le=LARGEST, allow_inf_nan=False)]
Figure = Amount | Annotated[str, Field(max_length=40)]
Quantized = Annotated[dict[str, Annotated[dict[str, Figure], Field(max_length=8)]], Field(max_length=3)]
"""Place -> name of a figure -> figure."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One bits-per-byte value: nll_sum in nats over byte_count bytes of the validation split.

    quantized: what rounding did at weights, activations, gradients -> format and shares.
    """

    step: Annotated[int, Field(ge=1, le=LARGEST)]
    bpb: float
    nll_sum: float
    byte_count: Annotated[int, Field(ge=1, le=LARGEST)]
    quantized: Quantized | None = None

    def to_store(self) -> SampleIn:
        """The value as the store takes it."""
        return SampleIn(
            step=self.step, bpb=self.bpb, nll_sum=self.nll_sum, byte_count=self.byte_count, quantized=self.quantized
        )


@dataclass(frozen=True, kw_only=True)
class Written:
    """What was stored, and what the race decided. note: why a receipt did not make a stored sample measured."""

    stored: int
    duplicates: int
    provenance: str
    ema: float | None
    decision: Decision
    lease_expires_at: datetime
    note: str | None = None


def write_bpb(
    context: Context,
    job_id: JobId,
    fence: Fence,
    samples: Annotated[list[Sample], Field(min_length=1, max_length=1000)],
    effective_digest: Annotated[Digest, Field(description="recipe digest that the engine echoed")],
    receipt: Annotated[
        dict[str, Any] | None, Field(description="receipt of run_chunk, or one that an enrolled worker signed")
    ] = None,
    checkpoint: Annotated[Digest | None, Field(description="artifact that the last sample was taken on")] = None,
    environment: Annotated[Digest | None, Field(description="where a worker elsewhere trained")] = None,
) -> Written:
    """Report samples of a claimed job; it renews the lease and answers whether the run goes on.

    After run_chunk the samples are stored already and this call confirms them (duplicates). Numbers that igla did not
    measure are stored as claimed: they are shown apart and never enter a rank, a gate or a payout. A claimed sample
    with an uploaded checkpoint is measured by the server's scorer soon after; a sample that an enrolled worker signed,
    sent with a token of scope measure, is measured at once.
    """
    given = tuple(one.to_store() for one in samples)
    sent = Sent(
        job_id=job_id, fence=fence, samples=given, effective_digest=effective_digest, receipt=receipt,
        checkpoint=checkpoint, environment=environment,
    )  # fmt: skip
    with context.store.transaction() as session:
        worker, note = signer(context, session, sent) if receipt is not None else (None, None)
        written = store(context, session, sent, worker)
        outgrown = artifacts.outgrown(session, job_id) if written.stored and checkpoint else []
        gone = [digest for digest in outgrown if artifacts.let_go(session, digest, context.now)]
    for digest in gone:
        context.artifacts.remove(digest)
    return Written(
        stored=written.stored,
        duplicates=written.duplicates,
        provenance=written.provenance,
        ema=written.ema,
        decision=decision_of(written.decision, written.state),
        lease_expires_at=written.lease_expires_at,
        note=note if written.stored else None,
    )


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What a call brought. receipt, checkpoint and environment belong to the last sample."""

    job_id: str
    fence: int
    samples: tuple[SampleIn, ...]
    effective_digest: str
    receipt: dict[str, Any] | None
    checkpoint: str | None
    environment: str | None


def store(context: Context, session: Session, sent: Sent, worker: str | None) -> samples.Written:
    """Store the samples: measured where an enrolled worker vouches for them, else claimed and, if possible, scored."""
    batch = Batch(
        job_id=sent.job_id,
        fence=sent.fence,
        samples=sent.samples,
        effective_digest=sent.effective_digest,
        provenance="measured" if worker else "claimed",
        checkpoint=sent.checkpoint,
        environment=sent.environment,
        receipt=json.dumps(sent.receipt, sort_keys=True) if worker else None,
        lease_seconds=LEASE_SECONDS,
        measured_by=worker or context.principal,
        owner=context.owner,
    )
    written = samples.write(session, batch, judge, context.now)
    if written.stored and not worker and sent.checkpoint is not None:
        last = max(one.step for one in sent.samples)
        scores.request(session, sent.job_id, last, sent.checkpoint, context.now)
    return written


def signer(context: Context, session: Session, sent: Sent) -> tuple[str | None, str | None]:
    """(the enrolled worker whose receipt makes the sample measured, None), or (None, why there is none)."""
    assert sent.receipt is not None
    worker = workers.with_key(session, str(sent.receipt.get("key", "")))
    if not context.scopes & {"measure", "admin"}:
        return None, "the token lacks the scope measure"
    if worker is None or worker.revoked_at is not None:
        return None, "the receipt's key is " + ("not enrolled" if worker is None else "revoked")
    claims = verify(sent.receipt, Ed25519PublicKey.from_public_bytes(worker.raw_key))
    if claims is None:
        return None, "the receipt's signature is wrong"
    wrong = differences(claims, expected(session, sent))
    if not wrong and sent.samples[-1].byte_count != whole(context, claims.corpus):
        wrong = ["part of the split"]
    return (None, f"the receipt is for another {', '.join(wrong)}") if wrong else (worker.name, None)


def expected(session: Session, sent: Sent) -> Claims:
    """What a good receipt says: this job and holder, the race's validation split, and what the call brought."""
    job = queue.job(session, sent.job_id)
    last = sent.samples[-1]
    return Claims(
        job=job.id,
        fence=job.fence,
        step=last.step,
        nll_sum=last.nll_sum,
        byte_count=last.byte_count,
        corpus=races.by_id(session, job.race_id).corpus,
        split="validation",
        recipe=job.recipe_digest,
        checkpoint=sent.checkpoint or "",
        environment=sent.environment or "",
        scorer=SCORER,
    )


def whole(context: Context, corpus: str) -> int:
    """Bytes of the validation split of a corpus that the server holds."""
    return manifest_from(context.artifacts.get(corpus)).splits["validation"].byte_count
