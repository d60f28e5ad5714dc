"""`/races/{name}`: the board, the curves, what was decided, and the jobs of a race."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request
from starlette.responses import HTMLResponse

from db import leaderboard, overview, queue, races, samples
from db.leaderboard import Row
from db.overview import CurveView
from db.queue import JobView
from db.races import RaceView
from db.samples import DecisionView
from db.session import Session
from db.tables import JOB_STATES
from server.pages.chart import ORDER, race_chart, spread, stack
from server.pages.races import state_of
from server.pages.shell import fragment, page
from server.runtime import Runtime

ON_A_PAGE = 50
"""Rows of the board, and of each other list."""

KEEP_SECONDS, MOST_KEPT = 15.0, 50
"""How long a first page is kept, and how many."""

Provenance = Literal["measured", "claimed", "verified"]
State = Literal["queued", "running", "done", "pruned", "errored", "cancelled"]
Name = Annotated[str, Query(max_length=64)]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What of a race is asked for; the first page of everything by default."""

    provenance: str = "measured"
    cursor: str | None = None
    state: str | None = None
    jobs_at: int = 1

    @property
    def is_first(self) -> bool:
        """Whether it is the page that follows the race as it runs."""
        return self == Wanted()


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All that a race's page shows."""

    race: RaceView
    counts: dict[str, int]
    rows: Sequence[Row]
    next_cursor: str | None
    runs: dict[tuple[str, int, int], str]
    curves: Sequence[CurveView]
    decisions: Sequence[DecisionView]
    state: str
    jobs: Sequence[JobView]


def gather(session: Session, name: str, wanted: Wanted) -> Facts:
    """Read a race from the store. An unknown name is refused."""
    race = races.find(session, name)
    counts = queue.counts(session, race.id)
    board = leaderboard.rows(session, race, ON_A_PAGE, wanted.cursor, wanted.provenance)
    state = wanted.state or next((one for one in ("running", *ORDER) if counts.get(one)), "queued")
    first = (wanted.jobs_at - 1) * ON_A_PAGE
    return Facts(
        race=race,
        counts=counts,
        rows=board.rows,
        next_cursor=board.next_cursor,
        runs=overview.runs_of(session, race.id, {row.recipe for row in board.rows}),
        curves=overview.curves(session, race.id),
        decisions=samples.decisions(session, race_id=race.id, limit=ON_A_PAGE),
        state=state,
        jobs=overview.jobs_in(session, race.id, state, ON_A_PAGE, first),
    )


def values_of(facts: Facts, wanted: Wanted) -> dict[str, Any]:
    """What the templates of a race are given."""
    race = facts.race
    shares = [race.bytes_at(rung) for rung in range(len(race.rungs))]
    ranked = {row.recipe: row.rank for row in facts.rows}
    return {
        "facts": facts,
        "race": race,
        "shares": shares,
        "doing": state_of(facts.counts),
        "wanted": wanted,
        "states": [one for one in ORDER if facts.counts.get(one)],
        "stack": stack(facts.counts),
        "total": sum(facts.counts.values()),
        "spread": spread(facts.rows),
        "chart": race_chart(facts.curves, ranked, shares),
        "names": {one.recipe: one.name for one in facts.curves} | {one.recipe: one.name for one in facts.rows},
        "on_a_page": ON_A_PAGE,
    }


PARTS = {"counts": "race_counts.html", "board": "race_board.html", "curves": "race_curves.html",
         "decisions": "race_decisions.html", "jobs": "race_jobs.html"}  # fmt: skip
"""Parts of the page that change while the race runs."""


def parts(values: dict[str, Any]) -> dict[str, str]:
    """The parts of a race's page as text, by name, and what is said of them aloud."""
    made = {name: fragment(template, values) for name, template in PARTS.items()}
    return {**made, "said": said(values["facts"])}


def said(facts: Facts) -> str:
    """One sentence about the board, for who hears the page."""
    done, total = facts.counts.get("done", 0), sum(facts.counts.values())
    if not facts.rows:
        return f"{done} of {total} jobs are done. No recipe is ranked yet."
    return f"{done} of {total} jobs are done. The best mean is {facts.rows[0].mean:.4f} bits per byte."


def rendered(session: Session, name: str, wanted: Wanted) -> dict[str, Any]:
    """What the page of a race is given, its parts rendered. An unknown race is refused."""
    facts = gather(session, name, wanted)
    values = {**values_of(facts, wanted), "has_formats": overview.has_formats(session, facts.race.id)}
    return {**values, "parts": parts(values)}


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A first page as it was rendered."""

    version: Any
    at: float
    values: dict[str, Any]


class FirstPages:
    """First pages of races, rendered again when the race has changed, and after a while in any case."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.kept: dict[str, Kept] = {}

    def of(self, name: str) -> dict[str, Any]:
        """What the first page of a race is given. An unknown race is refused."""
        with self.runtime.store.reading() as session:
            version = overview.version(session, races.find(session, name).id)
            kept, now = self.kept.get(name), time.monotonic()
            if kept is None or kept.version != version or now - kept.at > KEEP_SECONDS:
                if len(self.kept) >= MOST_KEPT:
                    self.kept.clear()
                kept = Kept(version=version, at=now, values=rendered(session, name, Wanted()))
                self.kept[name] = kept
        return kept.values


def add_race(app: FastAPI, runtime: Runtime, first: FirstPages) -> None:
    """Add the page of a race."""

    def race_page(
        request: Request,
        name: str,
        provenance: Provenance = "measured",
        cursor: Annotated[str | None, Query(max_length=200)] = None,
        state: State | None = None,
        at: Annotated[int, Query(ge=1, le=10_000)] = 1,
    ) -> HTMLResponse:
        wanted = Wanted(provenance=provenance, cursor=cursor, state=state, jobs_at=at)
        if wanted.is_first:
            return page(request, "race.html", first.of(name))
        with runtime.store.reading() as session:
            values = rendered(session, name, wanted)
        return page(request, "race.html", values)

    assert set(ORDER) == set(JOB_STATES)
    app.add_api_route("/races/{name}", race_page, methods=["GET"], include_in_schema=False)
