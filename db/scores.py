"""Scores: a claimed sample that came with a checkpoint waits here until a scorer has measured that checkpoint.

The measured value takes the claimed one's place and is judged like any other. A checkpoint that cannot be of this run
is refused, and the run starts over. Requests are leased as chunk requests are: a scorer that dies loses nothing.
"""

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import and_, delete, insert, or_, select, update

from db import artifacts, races, rungs, samples
from db.advance import write_samples
from db.checks import Batch, SampleIn, Sorted, check_value
from db.curves import stored_at, supersede
from db.jobs import LeaseLost, change, locked
from db.judge import Judge
from db.session import Session
from db.store import Stored, run
from db.tables import JOB, RACE, SAMPLE, SCORE, STANDING, state_is
from errors import Refusal

MOST_DELIVERIES = 5
"""Scorers that may die over one checkpoint before it is refused."""

TOLERANCE = 1e-3
"""Bits per byte that a claim may differ by when it was made in another environment; within one, not by one bit."""


class ScorersFailed(Refusal):
    """Upload another checkpoint: scorers died over this one."""

    code = "scorers_failed"
    status = 500


@dataclass(frozen=True, kw_only=True)
class Score:
    """A leased request: which checkpoint of which run is to be measured, and what was claimed of it.

    deliveries: scorers that have had it and did not give it back.
    """

    id: str
    fence: int
    deliveries: int
    job_id: str
    job_fence: int
    step: int
    total_steps: int
    checkpoint: str
    recipe_digest: str
    seed: int
    corpus: str
    claimed: SampleIn
    environment: str | None


def request(session: Session, job_id: str, step: int, checkpoint: str, now: datetime) -> None:
    """Ask for the measurement of a claimed sample. Where the sample is none or has another checkpoint, do nothing."""
    there = stored_at(session, job_id, {step}).get(step)
    if is_claimed(there, checkpoint):
        values = {"id": str(uuid4()), "job_id": job_id, "step": step, "checkpoint": checkpoint}
        run(session, insert(SCORE).values(**values, state="queued", fence=0, created_at=now))


def waiting(session: Session, now: datetime) -> bool:
    """Whether a request could be leased."""
    return run(session, select(SCORE.c.id).where(is_free(now)).limit(1)).first() is not None


def lease(session: Session, scorer: str, now: datetime, lease_seconds: float) -> Score | None:
    """Take the oldest free request. Those whose sample is gone or measured are closed on the way."""
    c = SCORE.c
    free = or_(is_free(now), and_(state_is(SCORE, "leased"), c.scorer == scorer))
    oldest = select(SCORE).where(free).order_by(c.created_at, c.id).limit(1).with_for_update(skip_locked=True)
    while (row := run(session, oldest).one_or_none()) is not None:
        there = stored_at(session, row.job_id, {row.step}).get(row.step)
        if there is None or not is_claimed(there, row.checkpoint):
            end(session, row.id, now, state="done")
            continue
        values = {"state": "leased", "scorer": scorer, "fence": row.fence + 1}
        until = now + timedelta(seconds=lease_seconds)
        run(session, update(SCORE).where(c.id == row.id).values(lease_expires_at=until, **values))
        return view(session, row.id, there)
    return None


def renew(session: Session, score: Score, now: datetime, lease_seconds: float) -> None:
    """Renew the lease. Raises LeaseLost where another scorer has the request."""
    leased(session, score)
    until = now + timedelta(seconds=lease_seconds)
    run(session, update(SCORE).where(SCORE.c.id == score.id).values(lease_expires_at=until))


def give_back(session: Session, score: Score) -> None:
    """Put a request back for the next scorer: this one ends in good order. Raises LeaseLost."""
    leased(session, score)
    values = {"state": "queued", "scorer": None, "lease_expires_at": None, "given_back": SCORE.c.given_back + 1}
    session.count("leases_given_back", kind="score")
    run(session, update(SCORE).where(SCORE.c.id == score.id).values(**values))


def measure(
    session: Session,
    score: Score,
    measured: SampleIn,
    *,
    receipt: str,
    measured_by: str,
    same_environment: bool,
    judge: Judge,
    now: datetime,
) -> bool:
    """Put the measured value in the claimed one's place and judge the run by it. False: the sample is gone meanwhile.

    Raises LeaseLost, and InvalidBpb for a value outside the race's sanity interval.
    """
    row = locked(session, score.job_id)
    leased(session, score)
    stored = stored_at(session, row.id, {score.step, row.last_step})
    end(session, score.id, now, state="done")
    if not is_claimed(stored.get(score.step), score.checkpoint):
        return False
    check_value(measured, races.by_id(session, row.race_id).sanity)
    batch = measured_batch(row, score, measured, receipt, measured_by)
    write_samples(session, row, batch, Sorted(new=(), better=(measured,), duplicates=0), stored, {}, now)
    if differs(score.claimed.bpb, measured.bpb, same_environment=same_environment):
        numbers = {"claimed": score.claimed.bpb, "measured": measured.bpb, "step": score.step, "tolerance": TOLERANCE}
        rungs.record(session, row, "remeasure", "claim_differs", numbers, now, job_id=row.id)
    settle(session, row, measured, judge, now)
    return True


def differs(claimed: float, measured: float, *, same_environment: bool) -> bool:
    """Whether a claim was wrong: by any bit within one environment, else by more than TOLERANCE."""
    return claimed != measured if same_environment else abs(claimed - measured) > TOLERANCE


def settle(session: Session, row: Stored, measured: SampleIn, judge: Judge, now: datetime) -> None:
    """What a measured value means for its job: provenance, result, promotion, or its end."""
    is_last, is_final = measured.step == row.last_step, row.state == "done" and measured.step == row.total_steps
    values: dict[str, Any] = {"provenance": "measured"} if is_last else {}
    if is_final:
        values |= {"final_bpb": measured.bpb}
    if values:
        change(session, row.id, row.fence, values, was=row.state)
    if row.state == "done":
        rungs.complete(session, row, judge, now)
    elif row.state == "running":
        verdict = judge.survives(samples.facts(session, races.by_id(session, row.race_id), row, measured))
        if verdict.action == "prune":
            samples.prune(session, row, verdict, judge, now)


def refuse(session: Session, score: Score, refusal: Refusal, now: datetime) -> list[str]:
    """Note that a checkpoint cannot be what was claimed: its run starts over, in the queue, as a failed attempt.

    Where a later sample was measured already, only the one in question goes. Gives the checkpoints whose files go.
    """
    row = locked(session, score.job_id)
    leased(session, score)
    end(session, score.id, now, state="failed", error_code=refusal.code, error=refusal.message)
    if not is_claimed(stored_at(session, row.id, {score.step}).get(score.step), score.checkpoint):
        return []
    whole = row.provenance != "measured" and row.state in ("queued", "running", "done")
    which = SAMPLE.c.step > 0 if whole else SAMPLE.c.step == score.step
    mine = select(SAMPLE.c.checkpoint).where(SAMPLE.c.job_id == row.id, which, SAMPLE.c.checkpoint.is_not(None))
    checkpoints = list(run(session, mine).scalars())
    supersede(session, row.id, which, f"checkpoint refused: {refusal.code}", now)
    if whole:
        start_over(session, row, refusal.code)
    numbers = {"claimed": score.claimed.bpb, "step": score.step}
    rungs.record(session, row, "reject", refusal.code, numbers, now, job_id=row.id)
    return [one for one in checkpoints if artifacts.let_go(session, one, now)]


def start_over(session: Session, row: Stored, code: str) -> None:
    """Put a job back into the queue at step 0; a claimed standing of its recipe counts on it no more."""
    nothing = dict.fromkeys(
        ("worker", "lease_expires_at", "checkpoint", "environment", "final_bpb", "provenance", "finished_at")
    )
    anew = {"state": "queued", "last_step": 0, "checkpoint_step": 0, "fruitful": False, "barren": row.barren + 1}
    reason = f"started over, checkpoint refused: {code}"
    change(session, row.id, row.fence, {**nothing, **anew, "reason": reason}, was=row.state)
    c = STANDING.c
    mine = (c.race_id == row.race_id, c.rung == row.rung, c.recipe_digest == row.recipe_digest)
    if run(session, delete(STANDING).where(*mine, c.provenance == "claimed")).rowcount:
        rungs.standings_changed(session, row)


def measured_batch(row: Stored, score: Score, measured: SampleIn, receipt: str, measured_by: str) -> Batch:
    """The measured value as a batch of the job's present holder, whoever that is."""
    return Batch(
        job_id=row.id,
        fence=row.fence,
        samples=(measured,),
        effective_digest=row.recipe_digest,
        provenance="measured",
        checkpoint=score.checkpoint,
        environment=score.environment,
        receipt=receipt,
        lease_seconds=0.0,
        measured_by=measured_by,
    )


def leased(session: Session, score: Score) -> None:
    """Lock the request. Raises LeaseLost where this fence does not hold it any more."""
    row = run(session, select(SCORE).where(SCORE.c.id == score.id).with_for_update()).one()
    if row.state != "leased" or row.fence != score.fence:
        raise LeaseLost(f"The score request is {row.state} with fence {row.fence}; the call has fence {score.fence}.")


def end(session: Session, request_id: str, now: datetime, **values: object) -> None:
    """Close a request."""
    closed = update(SCORE).where(SCORE.c.id == request_id)
    run(session, closed.values(lease_expires_at=None, finished_at=now, **values))


def view(session: Session, request_id: str, sample: Stored) -> Score:
    """A leased request with all that a scorer needs."""
    own = (SCORE.c.id, SCORE.c.fence, SCORE.c.job_id, SCORE.c.step, SCORE.c.checkpoint,
           (SCORE.c.fence - SCORE.c.given_back).label("deliveries"))  # fmt: skip
    of_job = (JOB.c.fence.label("job_fence"), JOB.c.total_steps, JOB.c.seed, JOB.c.recipe_digest)
    joins = select(*own, *of_job, RACE.c.corpus).join(JOB, JOB.c.id == SCORE.c.job_id)
    row = run(session, joins.join(RACE, RACE.c.id == JOB.c.race_id).where(SCORE.c.id == request_id)).one()
    numbers = {field.name: getattr(sample, field.name) for field in fields(SampleIn)}
    return Score(**row._asdict(), claimed=SampleIn(**numbers), environment=sample.environment)


def is_claimed(sample: Stored | None, checkpoint: str) -> bool:
    """Whether a sample is there, claimed, and was taken on this checkpoint."""
    return sample is not None and sample.provenance == "claimed" and sample.checkpoint == checkpoint


def is_free(now: datetime) -> Any:
    """Queued, or left behind by a scorer that died."""
    return or_(state_is(SCORE, "queued"), and_(state_is(SCORE, "leased"), SCORE.c.lease_expires_at < now))
