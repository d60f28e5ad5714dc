"""Read the board."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from db import entry_board, races
from db import leaderboard as board
from db.leaderboard import Row
from tools import Context, RaceName
from training.arena.tracks import Track, contest

about = {"toolset": "race", "scope": "read", "read_only": True, "destructive": False, "idempotent": True}


@dataclass(frozen=True, kw_only=True)
class Board:
    """One page of the board; ask again with `next_cursor` until it is null."""

    race: str
    corpus: str
    provenance: str
    rows: list[Row]
    next_cursor: str | None


def leaderboard(
    context: Context,
    race: RaceName,
    limit: Annotated[int, Field(ge=1, le=200, description="rows on a page")] = 20,
    cursor: Annotated[str | None, Field(max_length=200, description="next_cursor of the page before")] = None,
    provenance: Annotated[
        Literal["measured", "claimed", "verified"], Field(description="claimed numbers never mix with measured ones")
    ] = "measured",
) -> Board:
    """Rank the recipes of a race: highest rung first, then mean bits per byte over the race's seeds; lower is better.

    A recipe ranks when all seeds of the race are complete at a rung. `race` may be a track: then its entries are
    ranked, and a row's `recipe` is the entry's id.
    """
    if (track := context.tracks().get(race)) is not None:
        return entries_of(context, track, limit, cursor, provenance)
    with context.store.reading() as session:
        found = races.find(session, race)
        page = board.rows(session, found, limit=limit, cursor=cursor, provenance=provenance)
    return Board(
        race=race, corpus=found.corpus, provenance=provenance, rows=list(page.rows), next_cursor=page.next_cursor
    )


def entries_of(context: Context, track: Track, limit: int, cursor: str | None, provenance: str) -> Board:
    """The board of a track."""
    corpus, _ = context.track_corpus(track)
    seeds = track.seeds
    with context.store.reading() as session:
        page = entry_board.rows(
            session, contest(track, corpus), corpus, seeds, provenance=provenance, limit=limit, cursor=cursor
        )
    return Board(
        race=track.name, corpus=corpus, provenance=provenance, rows=list(page.rows), next_cursor=page.next_cursor
    )
