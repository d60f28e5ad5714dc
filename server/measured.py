"""Measured: what a chunk says to others: its sample, and the signed statement of what was measured on what."""

from typing import Any

from db import queue
from server.keys import signing_key
from server.runtime import Runtime
from tools.write_bpb import Sample
from training.engine import Chunk
from training.receipts import Claims, sign


def sample_of(chunk: Chunk) -> Sample:
    """The chunk's sample."""
    assert chunk.score is not None
    return Sample(
        step=chunk.step,
        bpb=chunk.score.bpb,
        nll_sum=chunk.score.nll_sum,
        byte_count=chunk.score.byte_count,
        quantized={place: dict(figures) for place, figures in chunk.quantized.items()} or None,
    )


def receipt_of(runtime: Runtime, ticket: queue.Ticket, chunk: Chunk) -> dict[str, Any]:
    """The signed statement of what was measured on what."""
    assert chunk.score is not None
    assert chunk.checkpoint is not None
    claims = Claims(
        job=ticket.job_id,
        fence=ticket.fence,
        step=chunk.step,
        nll_sum=chunk.score.nll_sum,
        byte_count=chunk.score.byte_count,
        corpus=ticket.corpus,
        split="validation",
        recipe=chunk.effective_digest,
        checkpoint=chunk.checkpoint,
        environment=chunk.environment,
        scorer=chunk.score.version,
    )
    return sign(claims, signing_key(runtime.settings.data))
