"""Rungs: what happens when a recipe is through with one. It gets a standing, and the race's pruner says who moves up.

All of it happens in the transaction that ends the recipe's last job there, with the rung's row locked: nobody is judged
twice, and a finisher sees all who finished before. The lock comes before the standing is written: its foreign key holds
the row a little, and two who hold it a little cannot both have it.
"""

from collections.abc import Mapping
from datetime import datetime
from math import fsum, sqrt
from typing import Any

from sqlalchemy import Executable, and_, bindparam, insert, literal_column, or_, select, update

from db import races
from db.jobs import RecipeText, enqueue, lock_recipe, lock_rung, siblings
from db.judge import Finished, Judge, Promotion, RungFacts
from db.races import RaceView
from db.session import Session
from db.statements import Prepared, inserting
from db.store import Stored, run
from db.tables import DECISION, JOB, RECIPE, RUNG, SAMPLE, STANDING, is_claimed, state_is

HERE = (STANDING.c.race_id == bindparam("race_id"), STANDING.c.rung == bindparam("rung"))


def complete(session: Session, row: Stored, judge: Judge, now: datetime, *, siblings_done: int | None = None) -> None:
    """A job of this recipe is done. When it was the last of the race's seeds, write the standing and judge the rung.

    The seeds' numbers must be of one provenance; only measured ones rank. A measured standing takes the place of a
    claimed one; a lost recipe stays lost. `siblings_done`: how many other jobs of it are, when
    a statement before has locked the recipe here and counted them.
    """
    race = races.by_id(session, row.race_id)
    if siblings_done is None:
        lock_recipe(session, row)
    elif siblings_done + 1 < len(race.seeds):
        return
    done = {job.seed: job for job in siblings(session, row) if job.state == "done"}
    provenances = {job.provenance for job in done.values()}
    if set(done) != set(race.seeds):
        return
    rung = lock_rung(session, row.race_id, row.rung)
    if len(provenances) == 1:
        bpbs = [done[seed].final_bpb for seed in race.seeds]
        put_standing(session, row, min(provenances), bpbs, now, last_quantized(session, row))
    if provenances == {"measured"} or row.recipe_digest in unranked(session, race, rung):
        promote(session, race, rung, judge, now)


def lose(
    session: Session, row: Stored, action: str, reason: str, numbers: Mapping[str, Any], judge: Judge, now: datetime
) -> None:
    """A job ended without a result: keep the decision, cancel what of its recipe is queued, judge the rung.

    The recipe cannot complete the rung any more; it counts there as one that is through, and ranks nowhere.
    """
    race = races.by_id(session, row.race_id)
    rung = lock_rung(session, row.race_id, row.rung)
    record(session, row, action, reason, numbers, now, job_id=row.id)
    cancel_queued(session, row, now)
    if standing(session, row) is None:
        put_standing(session, row, row.provenance or "measured", [], now)
        promote(session, race, rung, judge, now)


def cancel_queued(session: Session, row: Stored, now: datetime) -> None:
    """Cancel the recipe's queued jobs at this rung. One that is being claimed this moment is left to its claimer."""
    mine = (JOB.c.race_id == row.race_id, JOB.c.rung == row.rung, JOB.c.recipe_digest == row.recipe_digest)
    free = select(JOB.c.id).where(*mine, state_is(JOB, "queued")).with_for_update(skip_locked=True)
    change = update(JOB).where(JOB.c.id.in_(free.scalar_subquery()))
    cancelled = run(session, change.values(state="cancelled", reason=LOST, finished_at=now).returning(JOB.c.id))
    session.touched.update(("job", job_id) for job_id in cancelled.scalars())


LOST = "another seed of the recipe was lost"
"""Why a job is cancelled that nobody had stopped."""


def is_lost(session: Session, row: Stored) -> bool:
    """Whether the job's recipe cannot complete its rung any more."""
    found = standing(session, row)
    return found is not None and found.mean is None


def standing(session: Session, row: Stored) -> Stored | None:
    """The standing of a job's recipe at its rung, or None."""
    found: Stored | None = MINE.one_or_none(session, **named(row))
    return found


def named(row: Stored) -> dict[str, Any]:
    """The parameters of `MINE`."""
    return {"race_id": row.race_id, "rung": row.rung, "recipe_digest": row.recipe_digest}


THIS = (*HERE, STANDING.c.recipe_digest == bindparam("recipe_digest"))
MINE = Prepared(lambda _: select(STANDING).where(*THIS))
PROMOTED = Prepared(lambda _: update(STANDING).where(*THIS).values(promoted=True))
RECIPE_OF = Prepared(lambda _: select(RECIPE).where(RECIPE.c.digest == bindparam("digest")))


def put_standing(
    session: Session,
    row: Stored,
    provenance: str,
    bpbs: list[float],
    now: datetime,
    quantized: Mapping[str, Any] | None = None,
) -> None:
    """Store mean, standard deviation and values in the order of the race's seeds; no values: the recipe is lost.

    It takes the place of a standing that is there.
    """
    mean, sd = mean_and_sd(bpbs) if bpbs else (None, None)
    values = {"provenance": provenance, "mean": mean, "sd": sd, "n": len(bpbs), "bpbs": bpbs, "created_at": now}
    PUT.count(session, **named(row), promoted=False, quantized=quantized, **values)
    standings_changed(session, row)


def standings_changed(session: Session, row: Stored) -> None:
    """Count a change of what the board shows of a job's rung, so that who has read the board knows that it is old."""
    CHANGED.count(session, race_id=row.race_id, rung=row.rung)


CHANGED = Prepared(
    lambda _: (
        update(RUNG)
        .where(RUNG.c.race_id == bindparam("race_id"), RUNG.c.rung == bindparam("rung"))
        .values(version=RUNG.c.version + literal_column("1"))
    )
)


def putting(dialect: str) -> Executable:
    """Insert a standing, or replace what was measured of it."""
    new = inserting(dialect, STANDING)
    latest = {name: new.excluded[name] for name in ("provenance", "mean", "sd", "n", "bpbs", "created_at", "quantized")}
    return new.on_conflict_do_update(index_elements=list(STANDING.primary_key), set_=latest)


PUT = Prepared(putting)


def last_quantized(session: Session, row: Stored) -> dict[str, Any] | None:
    """What rounding did at the ends of a recipe's runs: of each place the format, and the means over the seeds."""
    found = [one.quantized for one in LAST.rows(session, **named(row)) if one.quantized]
    return merged(found) if found else None


def merged(found: list[dict[str, Any]]) -> dict[str, Any]:
    """place -> the figures that all have, numbers averaged. A figure that one lacks is unknown and left out."""
    together: dict[str, Any] = {}
    for place in sorted(found[0].keys() if all(one.keys() == found[0].keys() for one in found) else ()):
        together[place] = {
            key: value if isinstance(value, str) else fsum(one[place][key] for one in found) / len(found)
            for key, value in found[0][place].items()
            if all(key in one[place] for one in found)
        }
    return together


LAST = Prepared(
    lambda _: (
        select(SAMPLE.c.quantized)
        .join(JOB, and_(JOB.c.id == SAMPLE.c.job_id, JOB.c.total_steps == SAMPLE.c.step))
        .where(
            JOB.c.race_id == bindparam("race_id"),
            JOB.c.rung == bindparam("rung"),
            JOB.c.recipe_digest == bindparam("recipe_digest"),
        )
        .order_by(JOB.c.seed)
    )
)


def mean_and_sd(values: list[float]) -> tuple[float, float]:
    """Mean, and standard deviation with n - 1 (0 for one value). Correctly rounded sums: order does not matter."""
    mean = fsum(values) / len(values)
    return mean, sqrt(fsum((value - mean) ** 2 for value in values) / max(1, len(values) - 1))


def promote(session: Session, race: RaceView, rung: Stored, judge: Judge, now: datetime) -> None:
    """Ask the judge, and queue who moves up. The rung's row must be locked."""
    for promotion in judge.promotions(facts(session, race, rung)):
        here = {"race_id": race.id, "rung": rung.rung, "recipe_digest": promotion.recipe_digest}
        row = MINE.one_or_none(session, **here)
        may_move = row is not None and row.mean is not None and row.provenance == "measured" and not row.promoted
        if may_move and rung.rung + 1 < len(race.rungs):
            move_up(session, race, row, promotion, judge, now)


def move_up(session: Session, race: RaceView, row: Stored, promotion: Promotion, judge: Judge, now: datetime) -> None:
    """Mark the standing, keep the decision, queue the recipe's jobs at the next rung a little ahead of their like."""
    PROMOTED.count(session, **named(row))
    record(session, row, "promote", promotion.reason, promotion.numbers, now)
    recipe = RECIPE_OF.one_or_none(session, digest=row.recipe_digest)
    job = siblings(session, row)[0]
    enqueue(
        session,
        race,
        RecipeText(digest=recipe.digest, name=recipe.name, canonical=recipe.canonical),
        row.rung + 1,
        total_steps=judge.steps(recipe.canonical, race.bytes_at(row.rung + 1)),
        priority=min(100, job.priority + 1),
        created_by=job.created_by,
        now=now,
        request_id=job.request_id,
    )


def facts(session: Session, race: RaceView, rung: Stored) -> RungFacts:
    """What is known about a rung. Claimed numbers are not part of it: who has only them has no mean."""
    ranked = THROUGH.rows(session, race_id=race.id, rung=rung.rung)
    others = [
        Finished(recipe_digest=digest, mean=None, n=0, promoted=False) for digest in unranked(session, race, rung)
    ]
    finished = (*ranked, *others)
    return RungFacts(
        rung=rung.rung,
        last_rung=rung.rung + 1 == len(race.rungs),
        finished=finished,
        unfinished=rung.recipes - len(finished),
        eta=race.eta,
        quorum=race.quorum_at(rung.rung),
        pruner=race.pruner,
    )


MEASURED_OR_LOST = or_(STANDING.c.provenance == literal_column("'measured'"), STANDING.c.mean.is_(None))
THROUGH = Prepared(
    lambda _: select(*(STANDING.c[name] for name in Finished._fields)).where(*HERE, MEASURED_OR_LOST), Finished._make
)


def unranked(session: Session, race: RaceView, rung: Stored) -> set[str]:
    """Digests of recipes whose jobs here are all done, some by a claim that no scorer will measure."""
    return {row.recipe_digest for row in UNRANKED.rows(session, race_id=race.id, rung=rung.rung)}


def unranked_recipes() -> Executable:
    """Claimed results, but not of a recipe that has an open job, or a claim whose checkpoint waits for a scorer."""
    c, other = JOB.c, JOB.alias("other")
    waits = select(SAMPLE.c.job_id).where(
        SAMPLE.c.job_id == other.c.id, SAMPLE.c.provenance == "claimed", SAMPLE.c.checkpoint.is_not(None)
    )
    is_open = or_(~state_is(other, "done"), and_(other.c.provenance == "claimed", waits.exists()))
    same = (other.c.race_id == c.race_id, other.c.rung == c.rung, other.c.recipe_digest == c.recipe_digest)
    return (
        select(c.recipe_digest)
        .where(c.race_id == bindparam("race_id"), c.rung == bindparam("rung"), state_is(JOB, "done"))
        .where(is_claimed(JOB), ~select(other.c.id).where(*same, is_open).exists())
    )


UNRANKED = Prepared(lambda _: unranked_recipes())


def record(
    session: Session,
    row: Stored,
    action: str,
    reason: str,
    numbers: Mapping[str, Any],
    now: datetime,
    *,
    job_id: str | None = None,
) -> None:
    """Keep a decision about a job or, without `job_id`, about its recipe."""
    values = {"race_id": row.race_id, "recipe_digest": row.recipe_digest, "rung": row.rung, "job_id": job_id}
    content = {"action": action, "reason": reason, "numbers": dict(numbers), "created_at": now}
    RECORD.count(session, **values, **content)
    session.count("decisions", action=action)


RECORD = Prepared(
    lambda _: insert(DECISION).values({c.name: bindparam(c.name) for c in DECISION.c if c.name != "id"}).inline()
)
