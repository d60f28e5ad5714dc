"""Curves: the samples of a run read back, compared with others, or set aside."""

from dataclasses import dataclass, fields
from datetime import datetime
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, delete, insert, literal, literal_column, select

from db.judge import Curve
from db.session import Session
from db.statements import Prepared
from db.store import Stored, run
from db.tables import JOB, SAMPLE, SUPERSEDED, state_is

MOST_PEERS = 33
"""Finished runs that a run is compared with at most: the latest ones."""


@dataclass(frozen=True, kw_only=True)
class SampleView:
    """A stored sample. `measured_by`: who computed it, or for a claimed one who says to have.

    quantized: what rounding to number formats did; None where no format rounds.
    """

    step: int
    bpb: float
    nll_sum: float
    byte_count: int
    ema: float
    provenance: str
    checkpoint: str | None
    environment: str | None
    created_at: datetime
    measured_by: str | None = None
    quantized: dict[str, Any] | None = None


def curve(session: Session, job_id: str) -> list[SampleView]:
    """The samples of a job in the order of their steps."""
    return [SampleView(**row._asdict()) for row in CURVE.rows(session, job_id=job_id)]


CURVE = Prepared(
    lambda _: (
        select(*(SAMPLE.c[one.name] for one in fields(SampleView)))
        .where(SAMPLE.c.job_id == bindparam("job_id"))
        .order_by(SAMPLE.c.step)
    )
)


def so_far(session: Session, job: Stored, step: int) -> Curve:
    """The measured values of a run up to a step."""
    rows = SO_FAR.rows(session, job_id=job.id, step=step)
    return tuple((row.step / job.total_steps, row.bpb) for row in rows)


SO_FAR = Prepared(
    lambda _: (
        select(SAMPLE.c.step, SAMPLE.c.bpb)
        .where(SAMPLE.c.job_id == bindparam("job_id"), SAMPLE.c.step <= bindparam("step"))
        .where(SAMPLE.c.provenance == "measured")
        .order_by(SAMPLE.c.step)
    )
)


def stored_at(session: Session, job_id: str, steps: set[int]) -> dict[int, Stored]:
    """step -> row of the job's samples at these steps."""
    where = (SAMPLE.c.job_id == job_id, SAMPLE.c.step.in_(sorted(steps)))
    return {row.step: row for row in run(session, select(SAMPLE).where(*where))}


def peers(session: Session, job: Stored) -> tuple[Curve, ...]:
    """Curves of the latest measured, finished runs of other recipes at the same rung, the latest first."""
    same = {"race_id": job.race_id, "rung": job.rung, "recipe_digest": job.recipe_digest}
    rows = asking(MOST_PEERS).rows(session, **same)
    return tuple(
        tuple((step / total_steps, bpb) for _, total_steps, step, bpb in group)
        for _, group in groupby(rows, itemgetter(0))
    )


@lru_cache(maxsize=8)
def asking(most: int) -> Prepared:
    """The statement that `peers` asks."""
    return Prepared(lambda _: peer_points(most), tuple)


def peer_points(most: int) -> Select[Any]:
    """Points of the latest finished runs."""
    c = JOB.c
    same = (
        c.race_id == bindparam("race_id"),
        c.rung == bindparam("rung"),
        c.recipe_digest != bindparam("recipe_digest"),
    )
    done = select(c.id, c.total_steps, c.finished_at).where(state_is(JOB, "done"), c.provenance == "measured", *same)
    latest = done.order_by(c.finished_at.desc(), c.id).limit(literal_column(str(most))).subquery("latest")
    points = select(latest.c.id, latest.c.total_steps, SAMPLE.c.step, SAMPLE.c.bpb).join_from(
        latest, SAMPLE, (SAMPLE.c.job_id == latest.c.id) & (SAMPLE.c.provenance == "measured")
    )
    return points.order_by(latest.c.finished_at.desc(), latest.c.id, SAMPLE.c.step)


def supersede(session: Session, job_id: str, which: ColumnElement[bool], reason: str, now: datetime) -> None:
    """Move samples of a job to where they are kept but no longer count."""
    where = (SAMPLE.c.job_id == job_id, which)
    added = [literal(reason), literal(now, SUPERSEDED.c.superseded_at.type)]
    names = [*SAMPLE.c.keys(), "reason", "superseded_at"]
    run(session, insert(SUPERSEDED).from_select(names, select(*SAMPLE.c, *added).where(*where)))
    run(session, delete(SAMPLE).where(*where))
