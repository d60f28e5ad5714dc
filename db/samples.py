"""Samples: bits-per-byte values come in, are checked, stored and judged, in one transaction.

Nothing a caller sends is believed that can be checked: the fence, the recipe's digest, the arithmetic of the value, its
place in the run, the checkpoint behind it. A measured value decides; a claimed one is kept and shown apart.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import Integer, bindparam, or_, select

from db import leaderboard, races, rungs
from db.advance import ALPHA, Advanced, advance
from db.checks import Batch, InvalidStep, SampleIn, Sorted, check_batch, sort_out
from db.curves import SampleView, curve, peers, so_far
from db.jobs import JobView, change, job, locked, lost
from db.judge import Judge, RunFacts, Verdict
from db.known import look_up
from db.owners import refuse_others
from db.races import RaceView
from db.session import Session
from db.statements import Prepared
from db.store import Stored, run
from db.tables import DECISION, JOB, SAMPLE, state_is
from errors import ArtifactMissing

__all__ = [
    "ALPHA", "Batch", "Decided", "DecisionView", "Judge", "SampleIn", "SampleView", "Written", "curve", "decisions",
    "rejudge", "running", "write",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Decided:
    """What becomes of the run: `continue`, `prune` or, after its last step, `done`."""

    action: str
    rung: int
    reason: str
    numbers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Written:
    """What a batch changed. `provenance` is its last sample's as stored; a run that has ended has its lease end now."""

    stored: int
    duplicates: int
    ema: float
    provenance: str
    decision: Decided
    lease_expires_at: datetime
    state: str


@dataclass(frozen=True, kw_only=True)
class DecisionView:
    """A stored decision. `job_id` is None for one about a recipe."""

    job_id: str | None
    recipe_digest: str
    rung: int
    action: str
    reason: str
    numbers: dict[str, Any]
    created_at: datetime


def write(session: Session, batch: Batch, judge: Judge, now: datetime) -> Written:
    """Store a batch, renew the lease and decide. The caller's transaction makes it all or nothing.

    The holder may repeat a batch, also after the run has ended: that changes nothing but the lease. Raises LeaseLost,
    NotYourClaim, WrongDigest, WrongEnvironment, InvalidBpb, InvalidStep, SampleConflict, ArtifactMissing.
    """
    row, stored, is_held, is_last = look_up(session, batch)
    if row.fence != batch.fence or row.state not in ("running", "done", "pruned"):
        raise lost(session, batch.job_id, batch.fence)
    refuse_others(row, batch.owner)
    race = races.by_id(session, row.race_id)
    check_batch(batch, row, race.sanity)
    found = sort_out(batch, row.last_step, row.total_steps, stored)
    if found.new and row.state != "running":
        raise lost(session, batch.job_id, batch.fence)
    check_checkpoint(session, batch, found, is_held)
    lease = now + timedelta(seconds=batch.lease_seconds)
    advanced = advance(session, row, batch, found, stored, lease, now, is_last=is_last)
    if row.state == "running":
        decided, state = decide(session, race, row, batch, found, advanced, judge, now)
    else:
        if row.state == "done" and found.better:
            rungs.complete(session, row, judge, now)
        decided, state = ended(session, row), row.state
    if found.changes:
        session.count("samples_stored", len(found.changes), provenance=batch.provenance)
    if found.new and decided.action == "done":
        session.count("decisions", action="done")
    return Written(
        stored=len(found.changes),
        duplicates=found.duplicates,
        ema=advanced.ema,
        provenance=batch.provenance if found.changes else stored[batch.samples[-1].step].provenance,
        decision=decided,
        lease_expires_at=lease if state == "running" else now,
        state=state,
    )


def check_checkpoint(session: Session, batch: Batch, found: Sorted, is_held: bool) -> None:
    """A named checkpoint must be held here and be of the sample's own step; a measured sample must have one.

    Raises ArtifactMissing, and InvalidStep for a claim with the checkpoint of a measured sample at another step.
    """
    if not found.changes:
        return
    if batch.provenance == "measured" and (batch.checkpoint is None or len(found.changes) > 1):
        raise ArtifactMissing("Each measured sample is sent with the checkpoint of its own step.")
    if batch.checkpoint is not None and not is_held:
        raise ArtifactMissing(f"There is no artifact {batch.checkpoint}.")
    if batch.checkpoint is not None and batch.provenance == "claimed":
        c, step = SAMPLE.c, found.changes[-1].step
        mine = (c.job_id == batch.job_id, c.provenance == "measured", c.checkpoint == batch.checkpoint, c.step != step)
        other = run(session, select(c.step).where(*mine).limit(1)).scalar()
        if other is not None:
            raise InvalidStep(f"The checkpoint is of step {other}, the sample of step {step}.")


def decide(
    session: Session,
    race: RaceView,
    row: Stored,
    batch: Batch,
    found: Sorted,
    advanced: Advanced,
    judge: Judge,
    now: datetime,
) -> tuple[Decided, str]:
    """What becomes of a run that has got this batch, and its state afterwards."""
    if found.new and found.new[-1].step == row.total_steps:
        rungs.complete(session, row, judge, now, siblings_done=advanced.siblings_done)
        return done(row.rung, found.new[-1].bpb), "done"
    if not found.changes or batch.provenance != "measured":
        reason = "claimed" if found.changes else "confirmed"
        return Decided(action="continue", rung=row.rung, reason=reason), "running"
    verdict = judge.survives(facts(session, race, row, found.changes[-1]))
    if verdict.action == "prune":
        prune(session, row, verdict, judge, now)
    return decided_by(verdict, row), "pruned" if verdict.action == "prune" else "running"


def done(rung: int, bpb: float) -> Decided:
    """The decision about a complete run."""
    return Decided(action="done", rung=rung, reason="finished", numbers={"bpb": bpb})


def ended(session: Session, row: Stored) -> Decided:
    """What was decided about a run that has ended."""
    if row.state == "done":
        return done(row.rung, job(session, row.id).final_bpb or 0.0)
    where = (DECISION.c.job_id == row.id, DECISION.c.recipe_digest == row.recipe_digest, DECISION.c.action == "prune")
    last = run(session, select(DECISION).where(*where).order_by(DECISION.c.id.desc()).limit(1)).one()
    return decided_by(last, row)


def decided_by(verdict: Verdict | Stored, row: Stored) -> Decided:
    """A verdict about a job as the answer to its holder."""
    return Decided(action=verdict.action, rung=row.rung, reason=verdict.reason, numbers=dict(verdict.numbers))


def facts(session: Session, race: RaceView, row: Stored, sample: SampleIn | Stored) -> RunFacts:
    """What is known about a run at one of its samples."""
    return RunFacts(
        rung=row.rung,
        phase=sample.step / row.total_steps,
        bpb=sample.bpb,
        curve=so_far(session, row, sample.step),
        warmup_fraction=race.warmup_fraction,
        eta=race.eta,
        peers=peers(session, row),
        incumbent=leaderboard.leader(session, race.id) == row.recipe_digest,
        pruner=race.pruner,
    )


def prune(session: Session, row: Stored, verdict: Verdict, judge: Judge, now: datetime) -> None:
    """Stop a running job for good. Its recipe is lost at this rung."""
    values = {"state": "pruned", "lease_expires_at": None, "reason": verdict.reason, "finished_at": now}
    change(session, row.id, row.fence, values)
    rungs.lose(session, row, "prune", verdict.reason, verdict.numbers, judge, now)


def running(session: Session, race_id: str) -> list[str]:
    """Ids of a race's running jobs, oldest first."""
    where = (JOB.c.race_id == race_id, state_is(JOB, "running"))
    return list(run(session, select(JOB.c.id).where(*where).order_by(JOB.c.created_at, JOB.c.id)).scalars())


def rejudge(session: Session, job_id: str, judge: Judge, now: datetime, *, apply: bool) -> tuple[JobView, Decided]:
    """Judge a running job by its last measured value; with `apply`, stop it if the judge says so."""
    row = locked(session, job_id)
    measured = select(SAMPLE).where(SAMPLE.c.job_id == job_id, SAMPLE.c.provenance == "measured")
    last = run(session, measured.order_by(SAMPLE.c.step.desc()).limit(1)).one_or_none()
    if row.state != "running" or last is None:
        reason = "nothing_measured" if row.state == "running" else "not_running"
        return job(session, job_id), Decided(action="continue", rung=row.rung, reason=reason)
    verdict = judge.survives(facts(session, races.by_id(session, row.race_id), row, last))
    if apply and verdict.action == "prune":
        prune(session, row, verdict, judge, now)
    return job(session, job_id), decided_by(verdict, row)


def decisions(
    session: Session,
    *,
    race_id: str | None = None,
    job_id: str | None = None,
    about: JobView | None = None,
    limit: int = 100,
) -> list[DecisionView]:
    """The latest decisions of a race, or those about a job and about its recipe at its rung; the latest first.

    `about` is the job for who has read it already; `job_id` names one.
    """
    asked: dict[str, Any] = {} if race_id is None else {"of_race": race_id}
    about = about if job_id is None else job(session, job_id)
    if about is not None:
        recipe = {"about_recipe": about.recipe_digest, "about_race": about.race_id, "about_rung": about.rung}
        asked |= {"about_job": about.id, **recipe}
    rows = deciding(race_id is not None, about is not None).rows(session, most=limit, **asked)
    return [DecisionView(**row._asdict()) for row in rows]


@lru_cache
def deciding(in_race: bool, about_job: bool) -> Prepared:
    """The statement that `decisions` asks."""
    c = DECISION.c
    wanted = select(*(c[one.name] for one in fields(DecisionView)))
    if in_race:
        wanted = wanted.where(c.race_id == bindparam("of_race"))
    if about_job:
        recipe = (c.recipe_digest == bindparam("about_recipe"), c.race_id == bindparam("about_race"))
        mine = or_(c.job_id == bindparam("about_job"), c.job_id.is_(None))
        wanted = wanted.where(*recipe, c.rung == bindparam("about_rung"), mine)
    return Prepared(lambda _: wanted.order_by(c.id.desc()).limit(bindparam("most", type_=Integer)))
