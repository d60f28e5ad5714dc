"""Look at one job."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

from pydantic import Field

from db import job_log, queue, samples
from db.queue import JobView
from db.samples import DecisionView, SampleView
from tools import Context, JobId

about = {"toolset": "race", "scope": "read", "read_only": True, "destructive": False, "idempotent": True}

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class JobStatus:
    """A job, its curve and what was decided about it. log_tail: last log lines of a run that failed: data of others."""

    job: JobView
    curve: list[SampleView]
    samples_stored: int
    decisions: list[DecisionView]
    provenance: str | None
    log_tail: str = ""


def job_status(
    context: Context,
    job_id: JobId,
    points: Annotated[int, Field(ge=2, le=1000, description="points of the curve at most")] = 50,
) -> JobStatus:
    """Show a job: state, curve in bits per byte (thinned to `points`), decisions with their numbers, provenance."""
    with context.store.reading() as session:
        job = queue.job(session, job_id)
        curve = samples.curve(session, job_id)
        decisions = samples.decisions(session, about=job, limit=50)
        went_wrong = job.state == "errored" or (job.state in ("queued", "running") and job.fence > 0)
        log_tail = job_log.tail(session, job_id) if went_wrong else ""
    provenance = curve[-1].provenance if curve else None
    return JobStatus(
        job=job, curve=thin(curve, points), samples_stored=len(curve), decisions=list(decisions), provenance=provenance,
        log_tail=log_tail,
    )  # fmt: skip


def thin(curve: Sequence[Item], points: int) -> list[Item]:
    """At most `points` (>= 2) items, evenly spread, first and last included."""
    if len(curve) <= points:
        return list(curve)
    return [curve[round(i * (len(curve) - 1) / (points - 1))] for i in range(points)]
