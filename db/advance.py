"""Advance: what a checked batch changes: samples of a run, and the row of its job. `samples.write` decides the rest."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Boolean, bindparam, case, func, insert, literal_column, select, update

from db.checks import Batch, Sorted
from db.curves import curve, supersede
from db.jobs import change, change_job, lost
from db.session import Session
from db.statements import Prepared
from db.store import Stored, run
from db.tables import JOB, SAMPLE

ALPHA = 0.11803398874989485
"""Weight of the newest value in the moving average: phi**-3 / 2, with phi the golden ratio."""


class Advanced(NamedTuple):
    """The moving average at the last step; of a job that ended, siblings that were done before, if that was looked at.

    A sibling is a job of the same recipe at the same rung.
    """

    ema: float
    siblings_done: int | None = None


def advance(
    session: Session,
    row: Stored,
    batch: Batch,
    found: Sorted,
    stored: Mapping[int, Stored],
    lease: datetime,
    now: datetime,
    *,
    is_last: bool,
) -> Advanced:
    """Write the samples and bring the job's row up to them. is_last: see `Known`."""
    values = job_values(row, batch, found, lease, now)
    return write_samples(session, row, batch, found, stored, values, now, is_last=is_last)


def write_samples(
    session: Session,
    row: Stored,
    batch: Batch,
    found: Sorted,
    stored: Mapping[int, Stored],
    values: dict[str, Any],
    now: datetime,
    *,
    is_last: bool = False,
) -> Advanced:
    """Write the samples and these values of the job's row. PostgreSQL takes one sample and the row in one statement."""
    if found.better:
        replaced = SAMPLE.c.step.in_([sample.step for sample in found.better])
        supersede(session, row.id, replaced, "a measured value took its place", now)
    rows = new_rows(row, batch, found, stored, now)
    if rows:
        session.touched.add(("job", row.id))
    done = None
    if values and session.dialect == "postgresql" and len(rows) == 1:
        done = put_both(session, row, rows[0], values, is_last=is_last and bool(found.new))
    else:
        put(session, row, rows, values)
    if found.better:
        return Advanced(average_anew(session, row.id))
    return Advanced(float(rows[-1]["ema"] if rows else stored[row.last_step].ema), done)


def new_rows(
    row: Stored, batch: Batch, found: Sorted, stored: Mapping[int, Stored], now: datetime
) -> list[dict[str, Any]]:
    """The samples that are written; checkpoint and receipt belong to the last."""
    ema = stored[row.last_step].ema if row.last_step else None
    shared = {"job_id": row.id, "provenance": batch.provenance, "environment": batch.environment}
    shared["measured_by"] = batch.measured_by
    rows = []
    for sample in found.changes:
        ema = moved(ema, sample.bpb)
        values = {one.name: getattr(sample, one.name) for one in fields(sample)}
        empty = {"checkpoint": None, "receipt": None, "attempt": row.attempt, "created_at": now}
        rows.append({**shared, **values, **empty, "ema": ema})
    if rows:
        rows[-1] |= {"checkpoint": batch.checkpoint, "receipt": batch.receipt}
    return rows


def moved(ema: float | None, bpb: float) -> float:
    """The moving average after one more value; the first value seeds it."""
    return bpb if ema is None else ema + ALPHA * (bpb - ema)


def job_values(row: Stored, batch: Batch, found: Sorted, lease: datetime, now: datetime) -> dict[str, Any]:
    """What changes in the job's row: lease, last step, checkpoint, result."""
    values: dict[str, Any] = {"lease_expires_at": lease} if row.state == "running" else {}
    if found.changes:
        last = found.changes[-1]
        if last.step >= row.last_step:
            values |= {"last_step": last.step, "provenance": batch.provenance}
        if batch.checkpoint is not None and last.step >= row.checkpoint_step:
            values |= {"checkpoint": batch.checkpoint, "checkpoint_step": last.step}
        if last.step == row.total_steps:
            finished = row.finished_at or now
            values |= {"state": "done", "final_bpb": last.bpb, "lease_expires_at": None, "finished_at": finished}
        values["environment"] = batch.environment or row.environment
    if found.new and not row.fruitful:
        values |= {"fruitful": True, "barren": row.barren - 1}
    return values


def put(session: Session, row: Stored, rows: list[dict[str, Any]], values: dict[str, Any]) -> None:
    """Write samples and job."""
    for one in rows:
        INSERTED.count(session, **one)
    if values:
        change(session, row.id, row.fence, values, was=row.state)


INSERTED = Prepared(lambda _: insert(SAMPLE).inline())


def put_both(
    session: Session, row: Stored, sample: dict[str, Any], values: dict[str, Any], *, is_last: bool
) -> int | None:
    """Write one sample and the job in one statement; when it `is_last`, count its siblings that are done."""
    given = {**{f"new_{name}": one for name, one in values.items()}, **sample}
    changed = both(tuple(sorted(values))).rows(
        session, of=row.id, held=row.fence, was=row.state, counting=is_last, **given
    )
    if len(changed) != 1:
        raise lost(session, row.id, row.fence)
    return int(changed[0].done) if is_last else None


@lru_cache(maxsize=64)
def both(names: tuple[str, ...]) -> Prepared:
    """The statement that writes a sample and changes these columns of its job."""
    sample = insert(SAMPLE).values({column.name: bindparam(column.name) for column in SAMPLE.c}).inline()
    other = JOB.alias("other")
    same = (other.c.race_id == JOB.c.race_id, other.c.rung == JOB.c.rung, other.c.recipe_digest == JOB.c.recipe_digest)
    has_result = other.c.final_bpb.is_not(None)  # done, but in words that lead to no index of all done jobs
    done = select(func.count()).where(*same, has_result, other.c.id != JOB.c.id).scalar_subquery()
    counted = case((bindparam("counting", type_=Boolean), done), else_=literal_column("0")).label("done")
    return Prepared(lambda _: change_job(names).add_cte(sample.cte("sample_added")).returning(counted))


def average_anew(session: Session, job_id: str) -> float:
    """Compute the moving average of a whole run again, after a value within it was replaced."""
    ema = None
    for sample in curve(session, job_id):
        ema = moved(ema, sample.bpb)
        if ema != sample.ema:
            where = (SAMPLE.c.job_id == job_id, SAMPLE.c.step == sample.step)
            run(session, update(SAMPLE).where(*where).values(ema=ema))
    assert ema is not None, "a replaced sample is a sample"
    return ema
