"""Known: what a write looks up before it is checked: the job's row, locked, the samples stored at the steps it names,
and whether the checkpoint is held.

PostgreSQL answers all of it at once. A statement there sees the moment at which it began, but gets the row as it stands
once it has the lock; whoever held the lock may have stored samples that it does not see. So it also tells which version
of the row it began with, and where the two differ the samples are asked for again.
"""

from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Select, String, and_, any_, bindparam, case, cast, false, literal_column, select
from sqlalchemy.dialects.postgresql import array

from db.checks import Batch
from db.jobs import locked, recipe_lock
from db.session import Session
from db.statements import Prepared
from db.store import Stored
from db.tables import ARTIFACT, JOB, SAMPLE


class Known(NamedTuple):
    """The job's row; step -> sample, at the job's last step and those of the batch; whether the checkpoint is held.

    is_last: the job ends with this batch, and its recipe is locked at its rung: what comes next sees every sibling.
    """

    row: Stored
    stored: dict[int, Stored]
    is_held: bool
    is_last: bool = False


class StoredSample(NamedTuple):
    """What a write needs of a sample."""

    step: int
    bpb: float
    nll_sum: float
    byte_count: int
    ema: float
    provenance: str


def look_up(session: Session, batch: Batch) -> Known:
    """Lock the job and look. An unknown job is refused."""
    if session.dialect == "postgresql" and len(batch.samples) == 1:
        rows = AT_ONCE.rows(session, of=batch.job_id, step=batch.samples[0].step, digest=batch.checkpoint)
        if rows and rows[0].version == rows[0].began_with:
            found = (StoredSample(*row[-len(StoredSample._fields) :]) for row in rows)
            return Known(rows[0], by_step(found), bool(rows[0].is_held), bool(rows[0].is_last))
    row = locked(session, batch.job_id)
    return Known(row, *samples_and_checkpoint(session, row, batch))


def by_step(found: Any) -> dict[int, Stored]:
    """Samples by their step; the row without one says that there is none."""
    return {sample.step: sample for sample in found if sample.step is not None}


def samples_and_checkpoint(session: Session, row: Stored, batch: Batch) -> tuple[dict[int, Stored], bool]:
    """What is stored at these steps, and whether the checkpoint is held."""
    steps = sorted({row.last_step, *(sample.step for sample in batch.samples)})
    names = {f"step_{i}": step for i, step in enumerate(steps)}
    rows = asking(len(steps)).rows(session, of=row.id, digest=batch.checkpoint, **names)
    return by_step(StoredSample(*row[1:]) for row in rows), bool(rows[0].is_held)


HELD = (ARTIFACT.c.digest == bindparam("digest"), ARTIFACT.c.removed_at.is_(None))
IS_HELD = select(literal_column("1")).select_from(ARTIFACT).where(*HELD).exists().label("is_held")
COLUMNS = tuple(SAMPLE.c[name].label(f"at_{name}") for name in StoredSample._fields)


@lru_cache(maxsize=64)
def asking(steps: int) -> Prepared:
    """The statement of `samples_and_checkpoint`: at least one row, so that it always says whether the file is held."""
    at = SAMPLE.c.step.in_([bindparam(f"step_{i}", type_=SAMPLE.c.step.type) for i in range(steps)])
    one = select(literal_column("1").label("one")).subquery("one")
    there = one.outerjoin(SAMPLE, and_(SAMPLE.c.job_id == bindparam("of"), at))
    return Prepared(lambda _: select(IS_HELD, *COLUMNS).select_from(there))


def at_once() -> Select[Any]:
    """The statement that locks the job and looks, on PostgreSQL. `xmin` changes with every version of a row."""
    version: Any = literal_column("job.xmin::text::bigint").label("version")
    job = select(JOB, version).where(JOB.c.id == bindparam("of")).with_for_update().cte("locked")
    before = JOB.alias("before")
    earlier: Any = literal_column("before.xmin::text::bigint")
    began_with = select(earlier).select_from(before).where(before.c.id == bindparam("of"))
    steps = any_(array([bindparam("step", type_=SAMPLE.c.step.type), job.c.last_step]))
    there = job.outerjoin(SAMPLE, and_(SAMPLE.c.job_id == bindparam("of"), SAMPLE.c.step == steps))
    taken = cast(recipe_lock(job), String).is_not(None)
    is_last = case((bindparam("step", type_=SAMPLE.c.step.type) == job.c.total_steps, taken), else_=false())
    looked = (began_with.scalar_subquery().label("began_with"), is_last.label("is_last"), IS_HELD)
    return select(*job.c, *looked, *COLUMNS).select_from(there)


AT_ONCE = Prepared(lambda _: at_once())
