"""Look at one job."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

from pydantic import Field

from db import queue, samples
from db.queue import JobView
from db.samples import DecisionView, SampleView
from tools import Context, JobId

about = {"toolset": "race", "scope": "read", "read_only": True, "destructive": False, "idempotent": True}

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class JobStatus:
    """A job, its curve and what was decided about it."""

    job: JobView
    curve: list[SampleView]
    samples_stored: int
    decisions: list[DecisionView]
    provenance: str | None


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
    provenance = curve[-1].provenance if curve else None
    return JobStatus(
        job=job, curve=thin(curve, points), samples_stored=len(curve), decisions=list(decisions), provenance=provenance
    )


def thin(curve: Sequence[Item], points: int) -> list[Item]:
    """At most `points` (>= 2) items, evenly spread, first and last included."""
    if len(curve) <= points:
        return list(curve)
    return [curve[round(i * (len(curve) - 1) / (points - 1))] for i in range(points)]
