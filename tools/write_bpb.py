"""Report samples."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from db.samples import Batch, SampleIn, write
from tools import LEASE_SECONDS, Context, Decision, Digest, Fence, JobId, decision_of, judge

about = {"toolset": "race", "scope": "work", "read_only": False, "destructive": False, "idempotent": True}


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One bits-per-byte value: nll_sum in nats over byte_count bytes of the validation split."""

    step: Annotated[int, Field(ge=1)]
    bpb: float
    nll_sum: float
    byte_count: Annotated[int, Field(ge=1)]


@dataclass(frozen=True, kw_only=True)
class Written:
    """What was stored, and what the race decided."""

    stored: int
    duplicates: int
    provenance: str
    ema: float | None
    decision: Decision
    lease_expires_at: datetime


def write_bpb(
    context: Context,
    job_id: JobId,
    fence: Fence,
    samples: Annotated[list[Sample], Field(min_length=1, max_length=1000)],
    effective_digest: Annotated[Digest, Field(description="recipe digest that the engine echoed")],
    receipt: Annotated[dict[str, Any] | None, Field(description="receipt of run_chunk, if there is one")] = None,
    checkpoint: Annotated[Digest | None, Field(description="artifact that the sample was taken on")] = None,
) -> Written:
    """Report samples of a claimed job; it renews the lease and answers whether the run goes on.

    After run_chunk the samples are stored already and this call confirms them (duplicates). Numbers that igla did not
    measure are stored as claimed: they are shown apart and never enter a rank, a gate or a payout.
    """
    batch = Batch(
        job_id=job_id,
        fence=fence,
        samples=tuple(
            SampleIn(step=one.step, bpb=one.bpb, nll_sum=one.nll_sum, byte_count=one.byte_count) for one in samples
        ),
        effective_digest=effective_digest,
        provenance="claimed",
        checkpoint=checkpoint,
        environment=None,
        receipt=None,
        lease_seconds=LEASE_SECONDS,
    )
    with context.store.transaction() as session:
        written = write(session, batch, judge, context.now)
    return Written(
        stored=written.stored,
        duplicates=written.duplicates,
        provenance=written.provenance,
        ema=written.ema,
        decision=decision_of(written.decision, written.state),
        lease_expires_at=written.lease_expires_at,
    )
