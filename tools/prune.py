"""Ask the race's pruner."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from db import races, samples
from errors import InvalidValue
from tools import Context, Decision, JobId, RaceName, judge

about = {"toolset": "race", "scope": "admin", "read_only": False, "destructive": True, "idempotent": True}


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A running job and what the pruner says of its last value."""

    job_id: str
    name: str
    seed: int
    decision: Decision


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """What was decided, with the numbers it rests on."""

    dry_run: bool
    decisions: list[Judged]


def prune(
    context: Context,
    job_id: JobId | None = None,
    race: RaceName | None = None,
    dry_run: Annotated[bool, Field(description="true: only say what would be stopped")] = True,
) -> Pruned:
    """Judge a running job, or all running jobs of a race, by their last measured value, and say why.

    Every write is judged already, so this is for looking (dry_run) and for stopping runs whose worker has gone silent.
    """
    if (job_id is None) == (race is None):
        raise InvalidValue("Give either job_id or race.")
    with context.store.transaction() as session:
        session.is_quiet = dry_run
        wanted = [job_id] if job_id else samples.running(session, races.find(session, race or "").id)
        found = [samples.rejudge(session, one, judge, context.now, apply=not dry_run) for one in wanted]
    judged = [
        Judged(
            job_id=job.id,
            name=job.name,
            seed=job.seed,
            decision=Decision(
                action=verdict.action,
                rung=job.rung,
                reason=verdict.reason,
                numbers=dict(verdict.numbers),
                state=job.state,
            ),
        )
        for job, verdict in found
    ]
    return Pruned(dry_run=dry_run, decisions=judged)
