"""Give a job back."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from db import queue
from db.queue import JobView
from tools import Context, Fence, JobId

about = {"toolset": "race", "scope": "work", "read_only": False, "destructive": False, "idempotent": False}


@dataclass(frozen=True, kw_only=True)
class Released:
    """The job, back in the queue."""

    job: JobView


def release_job(
    context: Context,
    job_id: JobId,
    fence: Fence,
    reason: Annotated[str, Field(max_length=200, description="why, for the log")] = "",
) -> Released:
    """Give a claimed job back to the queue. What was stored stays; the next worker goes on from the last checkpoint."""
    with context.store.transaction() as session:
        return Released(job=queue.release(session, job_id, fence, context.now, reason, context.owner))
