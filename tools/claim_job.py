"""Claim jobs."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from db import queue, races, workers
from db.session import Session
from tools import LEASE_SECONDS, Context, Digest, RaceName, judge

about = {"toolset": "race", "scope": "work", "read_only": False, "destructive": False, "idempotent": False}


@dataclass(frozen=True, kw_only=True)
class Ticket:
    """All that a worker needs for its next chunk. chunks: how many of equal length the whole run has."""

    job_id: str
    fence: int
    race: str
    name: str
    recipe: dict[str, Any]
    recipe_digest: str
    seed: int
    rung: int
    start_step: int
    steps: int
    total_steps: int
    checkpoint: str | None
    corpus: str
    lease_expires_at: datetime
    chunks: int


@dataclass(frozen=True, kw_only=True)
class Claimed:
    """The tickets, at least one."""

    tickets: list[Ticket]


def claim_job(
    context: Context,
    worker: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[\w.:@-]+$", description="who claims")],
    race: RaceName | None = None,
    n: Annotated[int, Field(ge=1, le=64, description="tickets wanted at most")] = 1,
    environment: Annotated[
        Digest | None, Field(description="where you train yourself: a run that began in another one starts over")
    ] = None,
) -> Claimed:
    """Claim the next job, of one race or of any. The ticket's lease is renewed by run_chunk, write_bpb and heartbeat.

    With nothing to do the answer is queue_empty and says when to ask again. Next: run_chunk with job_id and fence.
    """
    with context.store.transaction() as session:
        workers.seen(session, worker, "agent", context.now)
        race_id = races.find(session, race).id if race else None
        claimed = queue.claim(
            session, worker=worker, now=context.now, lease_seconds=LEASE_SECONDS, judge=judge, race_id=race_id, n=n,
            claimed_by=context.principal,
        )  # fmt: skip
        if environment is not None:
            claimed = [begun(session, one, environment, context.now) for one in claimed]
    return Claimed(tickets=[ticket_of(one) for one in claimed])


def begun(session: Session, ticket: queue.Ticket, environment: str, now: datetime) -> queue.Ticket:
    """The ticket of a worker that trains in this environment: from step 0 where the run began in another one."""
    if ticket.checkpoint is None or ticket.environment in (None, environment):
        return ticket
    queue.restart(session, ticket.job_id, ticket.fence, environment, now)
    return queue.ticket(session, ticket.job_id, ticket.fence, now)


def ticket_of(claimed: queue.Ticket) -> Ticket:
    """The store's ticket as an agent sees it."""
    return Ticket(
        job_id=claimed.job_id,
        fence=claimed.fence,
        race=claimed.race,
        name=claimed.name,
        recipe=json.loads(claimed.recipe),
        recipe_digest=claimed.recipe_digest,
        seed=claimed.seed,
        rung=claimed.rung,
        start_step=claimed.start_step,
        steps=claimed.steps,
        total_steps=claimed.total_steps,
        checkpoint=claimed.checkpoint,
        corpus=claimed.corpus,
        lease_expires_at=claimed.lease_expires_at,
        chunks=claimed.chunks,
    )
