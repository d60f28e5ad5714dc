"""Fleet: how much work waits and runs, and which processes live. Each count reads a partial index of open rows only."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import FromClause, func, select

from db.session import Session
from db.store import run
from db.tables import ENTRY_RUN, JOB, RACE, REQUEST, SCORE, WORKER, state_is

MOST_RACES = 50
"""Races that are counted by name; the others are counted together."""

OTHERS = "(others)"
"""What they are called; no race can be."""


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """jobs: (race, state) -> count. requests, scores, entry_runs: state -> count. processes: kind -> count.

    oldest_seconds: how long the oldest chunk request that no engine has taken waits; 0 when none does.
    """

    jobs: dict[tuple[str, str], int]
    requests: dict[str, int]
    scores: dict[str, int]
    entry_runs: dict[str, int]
    processes: dict[str, int]
    oldest_seconds: float


def fleet(session: Session, now: datetime, alive_seconds: float) -> Fleet:
    """What is open at this moment, and who gave a sign of life lately."""
    lately = WORKER.c.last_seen >= now - timedelta(seconds=alive_seconds)
    seen = select(WORKER.c.kind, func.count()).where(lately).group_by(WORKER.c.kind)
    oldest = run(session, select(func.min(REQUEST.c.created_at)).where(state_is(REQUEST, "queued"))).scalar_one()
    return Fleet(
        jobs=by_race(session),
        requests=by_state(session, REQUEST),
        scores=by_state(session, SCORE),
        entry_runs=by_state(session, ENTRY_RUN),
        processes={kind: count for kind, count in run(session, seen)},
        oldest_seconds=0.0 if oldest is None else max(0.0, (now - oldest).total_seconds()),
    )


def by_race(session: Session) -> dict[tuple[str, str], int]:
    """(race, state) -> number of queued or running jobs."""
    counted: dict[str, dict[str, int]] = {}
    for state in ("queued", "running"):
        here = select(JOB.c.race_id, func.count().label("n")).where(state_is(JOB, state)).group_by(JOB.c.race_id)
        jobs = here.subquery()
        for race, n in run(session, select(RACE.c.name, jobs.c.n).join(jobs, jobs.c.race_id == RACE.c.id)):
            counted.setdefault(race, {})[state] = n
    return named(counted)


def named(counted: dict[str, dict[str, int]], most: int = MOST_RACES) -> dict[tuple[str, str], int]:
    """The races with the most open jobs by name, the others together; both states of each, and no job is left out."""
    ranked = sorted(counted, key=lambda race: (-sum(counted[race].values()), race))
    found: dict[tuple[str, str], int] = {}
    for place, race in enumerate(ranked):
        for state in ("queued", "running"):
            key = (race if place < most else OTHERS, state)
            found[key] = found.get(key, 0) + counted[race].get(state, 0)
    return found


def by_state(session: Session, of: FromClause) -> dict[str, int]:
    """state -> number of open rows."""
    counts = {}
    for state in ("queued", "leased"):
        counts[state] = int(run(session, select(func.count()).select_from(of).where(state_is(of, state))).scalar_one())
    return counts
