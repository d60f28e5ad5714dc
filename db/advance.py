"""Advance: what a checked batch changes: samples of a run, and the row of its job. `samples.write` decides the rest."""

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import bindparam, func, insert, select, update

from db.checks import Batch, Sorted
from db.curves import curve, supersede
from db.jobs import change, change_job, lost, recipe_here, recipe_lock
from db.session import Session
from db.statements import Prepared
from db.store import Stored, run
from db.tables import SAMPLE

ALPHA = 0.11803398874989485
"""Weight of the newest value in the moving average: phi**-3 / 2, with phi the golden ratio."""


def advance(
    session: Session,
    row: Stored,
    batch: Batch,
    found: Sorted,
    stored: Mapping[int, Stored],
    lease: datetime,
    now: datetime,
) -> float:
    """Write the samples, bring the job's row up to them, and give the moving average at the last step."""
    return write_samples(session, row, batch, found, stored, job_values(row, batch, found, lease, now), now)


def write_samples(
    session: Session,
    row: Stored,
    batch: Batch,
    found: Sorted,
    stored: Mapping[int, Stored],
    values: dict[str, Any],
    now: datetime,
) -> float:
    """Write the samples and these values of the job's row; give the moving average at the last step."""
    if found.better:
        replaced = SAMPLE.c.step.in_([sample.step for sample in found.better])
        supersede(session, row.id, replaced, "a measured value took its place", now)
    rows = new_rows(row, batch, found, stored, now)
    at_once = bool(values) and in_one(session, found)
    put(session, row, rows, values, at_once=at_once, ends=locks_recipe(session, found, row))
    if found.better:
        return average_anew(session, row.id)
    return float(rows[-1]["ema"] if rows else stored[row.last_step].ema)


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
        values = {"step": sample.step, "bpb": sample.bpb, "nll_sum": sample.nll_sum, "byte_count": sample.byte_count}
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


def in_one(session: Session, found: Sorted) -> bool:
    """Whether sample and job are written by one statement: PostgreSQL can, for one sample."""
    return session.dialect == "postgresql" and len(found.changes) == 1


def locks_recipe(session: Session, found: Sorted, row: Stored) -> bool:
    """Whether that statement also locks the recipe at its rung: the job ends, and its siblings are looked at next."""
    return in_one(session, found) and bool(found.new) and found.new[-1].step == row.total_steps


def put(
    session: Session, row: Stored, rows: list[dict[str, Any]], values: dict[str, Any], *, at_once: bool, ends: bool
) -> None:
    """Write samples and job, `at_once` in one statement."""
    if at_once:
        given = {**{f"new_{name}": one for name, one in values.items()}, **rows[0]}
        recipe = {"recipe_here": recipe_here(row)} if ends else {}
        statement = both(tuple(sorted(values)), ends)
        if statement.count(session, of=row.id, held=row.fence, was=row.state, **given, **recipe) != 1:
            raise lost(session, row.id, row.fence)
        return
    for one in rows:
        INSERTED.count(session, **one)
    if values:
        change(session, row.id, row.fence, values, was=row.state)


INSERTED = Prepared(lambda _: insert(SAMPLE).inline())


@lru_cache(maxsize=64)
def both(names: tuple[str, ...], ends: bool) -> Prepared:
    """The statement that writes a sample and changes these columns of its job; if that `ends`, it locks the recipe."""
    sample = insert(SAMPLE).values({column.name: bindparam(column.name) for column in SAMPLE.c}).inline()
    statement = change_job(names).add_cte(sample.cte("sample_added"))
    if ends:
        held = select(recipe_lock()).cte("recipe_locked")
        statement = statement.where(select(func.count()).select_from(held).scalar_subquery() == 1)
    return Prepared(lambda _: statement)


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
