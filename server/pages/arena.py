"""`/arena` and `/arena/{entry}`: tracks with their boards, entries with their runs and checks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import FastAPI, Query, Request
from starlette.responses import HTMLResponse

from db import arena_overview, entries, entry_board, entry_runs
from db.arena_overview import ContestView
from db.leaderboard import Row
from db.session import Session
from server.pages.shell import page
from server.runtime import Runtime, utc_now
from training.arena.tracks import Track

ON_A_BOARD, ON_A_PAGE, RUNS = 20, 25, 50


@dataclass(frozen=True, kw_only=True)
class TrackCard:
    """A track with the boards of the contest that entries ran in last; None where none has run."""

    track: Track
    contest: ContestView | None
    boards: Mapping[str, Sequence[Row]]


def cards(session: Session, tracks: Sequence[Track]) -> list[TrackCard]:
    """Every track. A board is read from the runs that are there: no corpus is built to look at one."""
    latest = {one.track: one for one in reversed(arena_overview.contests(session))}
    made = []
    for track in tracks:
        found = latest.get(track.name)
        boards = {
            provenance: entry_board.rows(
                session, found.contest, found.corpus, track.seeds, provenance=provenance, limit=ON_A_BOARD
            ).rows
            for provenance in ("measured", "claimed")
            if found is not None
        }
        made.append(TrackCard(track=track, contest=found, boards=boards))
    return made


def add_arena(app: FastAPI, runtime: Runtime) -> None:
    """Add the pages of the arena."""

    def arena_page(request: Request, at: Annotated[int, Query(ge=1, le=10_000)] = 1) -> HTMLResponse:
        tracks = list(runtime.tracks().values())
        with runtime.store.reading() as session:
            shown = cards(session, tracks)
            found = arena_overview.entries(session, ON_A_PAGE + 1, (at - 1) * ON_A_PAGE)
        values = {"cards": shown, "entries": found[:ON_A_PAGE], "at": at, "more": len(found) > ON_A_PAGE}
        return page(request, "arena.html", values)

    def entry_page(request: Request, entry: str) -> HTMLResponse:
        with runtime.store.reading() as session:
            found = entries.get(session, entry)
            runs = entry_runs.of_entry(session, entry, RUNS)
        return page(request, "entry.html", {"entry": found, "runs": runs, "now": utc_now()})

    app.add_api_route("/arena", arena_page, methods=["GET"], include_in_schema=False)
    app.add_api_route("/arena/{entry}", entry_page, methods=["GET"], include_in_schema=False)
