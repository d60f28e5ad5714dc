"""Read the board."""

import json
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from db import entry_board, races
from db import leaderboard as board
from db.leaderboard import Row
from db.results import results
from tools import Context, RaceName
from training.arena.tracks import Track, contest
from training.matrix import Matrix, matrix_of
from training.recipe import recipe_from

about = {"toolset": "race", "scope": "read", "read_only": True, "destructive": False, "idempotent": True}


@dataclass(frozen=True, kw_only=True)
class Board:
    """One page of the board; ask again with `next_cursor` until it is null."""

    race: str
    corpus: str
    provenance: str
    rows: list[Row]
    next_cursor: str | None
    matrix: Matrix | None = None


def leaderboard(
    context: Context,
    race: RaceName,
    limit: Annotated[int, Field(ge=1, le=200, description="rows on a page")] = 20,
    cursor: Annotated[str | None, Field(max_length=200, description="next_cursor of the page before")] = None,
    provenance: Annotated[
        Literal["measured", "claimed", "verified"], Field(description="claimed numbers never mix with measured ones")
    ] = "measured",
    by: Annotated[
        Literal["format,optimizer"] | None, Field(description="also show all recipes as a table of these two")
    ] = None,
) -> Board:
    """Rank the recipes of a race: highest rung first, then mean bits per byte over the race's seeds; lower is better.

    A recipe ranks when all seeds of the race are complete at a rung. `race` may be a track: then its entries are
    ranked, and a row's `recipe` is the entry's id. With `by` the answer holds a `matrix`, which also has the recipes
    that do not rank: lost, still open, or an identity, whose number format changed nothing.
    """
    if (track := context.tracks().get(race)) is not None:
        return entries_of(context, track, limit, cursor, provenance)
    with context.store.reading() as session:
        found = races.find(session, race)
        page = board.rows(session, found, limit=limit, cursor=cursor, provenance=provenance)
        cells = results(session, found) if by else []
    return Board(
        race=race,
        corpus=found.corpus,
        provenance=provenance,
        rows=list(page.rows),
        next_cursor=page.next_cursor,
        matrix=matrix_of([(recipe_from(json.loads(one.canonical)), one) for one in cells]) if by else None,
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
