"""`/`: every race, the newest first."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import FastAPI, Query, Request
from starlette.responses import HTMLResponse

from db import leaderboard, queue, races
from db.leaderboard import Row
from db.races import RaceView
from server.challenges import base_of
from server.pages.shell import page
from server.runtime import Runtime

ON_A_PAGE = 12


@dataclass(frozen=True, kw_only=True)
class Card:
    """A race in the list. best: its first row, where one is ranked."""

    race: RaceView
    counts: dict[str, int]
    state: str
    best: Row | None


def state_of(counts: dict[str, int]) -> str:
    """What a race is doing, from its jobs by state."""
    if counts.get("running"):
        return "running"
    if counts.get("queued"):
        return "queued"
    return "finished" if any(counts.values()) else "empty"


def cards(runtime: Runtime, first: int) -> tuple[list[Card], int]:
    """A page of races from the newest on, and how many there are."""
    with runtime.store.reading() as session:
        every = races.listing(session)[::-1]
        made = []
        for race in every[first : first + ON_A_PAGE]:
            counts = queue.counts(session, race.id)
            best = leaderboard.best(session, race)
            made.append(Card(race=race, counts=counts, state=state_of(counts), best=best))
    return made, len(every)


def add_races(app: FastAPI, runtime: Runtime) -> None:
    """Add the front page."""

    def front(request: Request, at: Annotated[int, Query(ge=1, le=10_000)] = 1) -> HTMLResponse:
        shown, total = cards(runtime, (at - 1) * ON_A_PAGE)
        more = at * ON_A_PAGE < total
        values = {
            "cards": shown,
            "total": total,
            "at": at,
            "more": more,
            "url": base_of(request.scope, runtime.settings),
        }
        return page(request, "races.html", values)

    app.add_api_route("/", front, methods=["GET"], include_in_schema=False)
