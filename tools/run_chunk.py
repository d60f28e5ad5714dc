"""Train the next chunk on the server's engine."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from db import chunks, queue, workers
from db.chunks import RequestView
from db.jobs import LeaseLost
from errors import Refusal, refusal
from tools import LEASE_SECONDS, Context, Decision, Fence, JobId
from tools.write_bpb import Sample

about = {
    "toolset": "race",
    "scope": "work",
    "read_only": False,
    "destructive": False,
    "idempotent": False,
    "engine": True,
}

FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.25
"""Seconds between two looks at the request: short chunks answer at once, long ones cost little."""

SIGNALLED_PAUSE = 2.0
"""Seconds between two looks where the store tells of the answer: a look is for what it could not tell."""

ENGINE_SILENCE = 30.0
"""Seconds without a sign of any engine after which the call is refused instead of waiting on."""


RENEWAL = LEASE_SECONDS / 4
"""Seconds between two renewals of the job's lease while a call waits."""

REPORTS = 1.0
"""Seconds between two reports to a caller who asked for them."""


class ChunkRunning(Refusal):
    """Call run_chunk again with the same job_id and fence: it waits for the same chunk and starts no other."""

    code = "chunk_running"
    status = 202


class EngineMissing(Refusal):
    """Start an engine beside the server with `igla serve` or `igla engine`, then call run_chunk again."""

    code = "engine_missing"
    status = 503


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A trained and measured chunk. The samples are stored already."""

    job_id: str
    samples: list[Sample]
    provenance: str
    receipt: dict[str, Any] | None
    effective_recipe: dict[str, Any]
    effective_digest: str
    environment: str
    checkpoint: str | None
    decision: Decision
    bytes_per_second: float
    lease_expires_at: datetime


ANSWER = TypeAdapter(Ran)
"""Reads an answer back from the store."""


async def run_chunk(
    context: Context,
    job_id: JobId,
    fence: Fence,
    steps: Annotated[
        int | None, Field(ge=1, le=10**9, description="optimizer steps; leave out for the ticket's chunk")
    ] = None,
    wait_seconds: Annotated[float, Field(ge=0, le=3600, description="longest wait for the answer")] = 600.0,
) -> Ran:
    """Train the next chunk of a claimed job on the server's engine, score it, store the sample, then answer.

    Call it again while the decision's action is "continue". If the answer got lost, call it again: a chunk that still
    runs is waited for, not started twice. Long chunks: a call that waited wait_seconds is answered chunk_running.
    """
    began = renewed = context.now
    reported = -REPORTS
    request = await asyncio.to_thread(ask, context, job_id, fence, steps)
    pause = FIRST_PAUSE
    with context.store.signals.on(chunks.answer_to(request.id)) as answer:
        request = await asyncio.to_thread(look, context, request.id)
        while request.state in ("queued", "leased"):
            waited = (context.now - began).total_seconds()
            if waited >= wait_seconds:
                raise ChunkRunning(f"The chunk is not finished after {waited:.0f} s.")
            if request.state == "queued" and waited > ENGINE_SILENCE and not await asyncio.to_thread(engines, context):
                raise EngineMissing("No engine has given a sign of life.")
            if waited - reported >= REPORTS:
                reported = waited
                await context.report(waited, standing(request))
            await answer.arrives(min(SIGNALLED_PAUSE if answer.travels else pause, wait_seconds - waited))
            pause = min(LONGEST_PAUSE, pause * 1.5)
            if (context.now - renewed).total_seconds() >= RENEWAL:
                renewed = context.now
                await asyncio.to_thread(keep, context, job_id, fence)
            request = await asyncio.to_thread(look, context, request.id)
    return ran(request)


def ran(request: RequestView) -> Ran:
    """The answer of a closed request, or the refusal that closed it."""
    if request.state == "failed":
        raise refusal(request.error_code or "", request.error or "")
    return ANSWER.validate_python(request.result)


def standing(request: RequestView) -> str:
    """How far an open request is, for who waits."""
    what = "the chunk" if request.steps is None else f"{request.steps} steps"
    return f"An engine trains {what}." if request.state == "leased" else f"Waiting for an engine to train {what}."


def ask(context: Context, job_id: str, fence: int, steps: int | None) -> RequestView:
    """Renew the lease and store the request, or find the open one; of a job that ended, the one that ended it."""
    with context.store.transaction() as session:
        return chunks.request(session, job_id, fence, steps, context.now, LEASE_SECONDS, context.owner)


def keep(context: Context, job_id: str, fence: int) -> None:
    """Renew the job's lease. Where it ended meanwhile the request tells, so that an answer is not lost."""
    with suppress(LeaseLost), context.store.transaction() as session:
        queue.heartbeat(session, job_id, fence, context.now, LEASE_SECONDS, context.owner)


def look(context: Context, request_id: str) -> RequestView:
    """The request as it stands."""
    with context.store.reading() as session:
        return chunks.get(session, request_id)


def engines(context: Context) -> int:
    """Engines that have given a sign of life lately."""
    with context.store.reading() as session:
        return len(workers.alive(session, "engine", context.now, ENGINE_SILENCE))
