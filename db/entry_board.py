"""Entry board: the entries of a track, best first, in the rows of the leaderboard.

The first verdict on an entry and a seed counts, whatever later runs of the same seed find: to run again until the
number is lucky changes nothing. A run that the arena itself could not bring to an end is no verdict.
"""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import Select, func, or_, select

from db.entry_runs import ARENA_FAILED
from db.leaderboard import InvalidCursor, Page, Row
from db.rungs import mean_and_sd
from db.session import Session
from db.store import Stored, run
from db.tables import ENTRY, ENTRY_RUN, state_is
from errors import shown


def rows(
    session: Session,
    contest: str,
    corpus: str,
    seeds: Sequence[int],
    *,
    provenance: str = "measured",
    limit: int = 50,
    cursor: str | None = None,
) -> Page:
    """Entries that are complete with all seeds, by mean, then by id. Raises InvalidCursor."""
    after = None if cursor is None else decode(cursor)
    found = run(session, verdicts(contest, seeds)).all()
    ranked = [numbered(row, rank) for rank, row in enumerate(standings(found, seeds, corpus, provenance), start=1)]
    rest = [row for row in ranked if after is None or (row.mean, row.recipe) > after]
    page = tuple(rest[:limit])
    return Page(rows=page, next_cursor=encode(page[-1]) if len(rest) > limit else None)


def verdicts(contest: str, seeds: Sequence[int]) -> Select[Any]:
    """The first verdict on each entry and seed of a contest."""
    c = ENTRY_RUN.c
    place = func.row_number().over(partition_by=(c.entry_id, c.seed), order_by=(c.finished_at, c.id))
    closed = state_is(ENTRY_RUN, "done", "failed")
    counts = or_(c.failed.is_(None), c.failed != ARENA_FAILED)
    numbers = (c.entry_id, c.seed, c.state, c.provenance, c.bpb, place.label("place"))
    all_ = select(*numbers).where(c.contest == contest, c.seed.in_(seeds), closed, counts).subquery()
    first = select(all_, ENTRY.c.name).join(ENTRY, ENTRY.c.id == all_.c.entry_id).where(all_.c.place == 1)
    return first.order_by(all_.c.entry_id)


def standings(found: Sequence[Stored], seeds: Sequence[int], corpus: str, provenance: str) -> list[Row]:
    """Rows of the entries with this provenance, best first. Pure; `found` is sorted by entry."""
    made = []
    for entry_id, group in groupby(found, key=lambda row: row.entry_id):
        by_seed = {row.seed: row for row in group}
        if provenance_of(by_seed, seeds) == provenance:
            made.append(row_of(entry_id, by_seed, seeds, corpus, provenance))
    return sorted(made, key=lambda row: (row.mean, row.recipe))


def provenance_of(by_seed: Mapping[int, Stored], seeds: Sequence[int]) -> str | None:
    """What all seeds together are: the weakest provenance among them. None where a seed is missing or has failed."""
    if set(by_seed) != set(seeds) or any(row.state != "done" for row in by_seed.values()):
        return None
    return "claimed" if any(row.provenance == "claimed" for row in by_seed.values()) else by_seed[seeds[0]].provenance


def row_of(entry_id: str, by_seed: Mapping[int, Stored], seeds: Sequence[int], corpus: str, provenance: str) -> Row:
    """An entry as a row; its rank is given when the others are known."""
    values = tuple(by_seed[seed].bpb for seed in seeds)
    mean, sd = mean_and_sd(list(values))
    return Row(
        rank=0,
        name=by_seed[seeds[0]].name,
        recipe=entry_id,
        rung=0,
        rungs=1,
        seeds=tuple(seeds),
        values=values,
        mean=mean,
        sd=sd,
        n=len(values),
        bpb=mean,
        provenance=provenance,
        corpus=corpus,
    )


def numbered(row: Row, rank: int) -> Row:
    """The row at its rank."""
    return Row(**{**vars(row), "rank": rank})


def encode(last: Row) -> str:
    """The place after a row as one opaque word."""
    return base64.urlsafe_b64encode(json.dumps([last.mean, last.recipe]).encode()).decode()


def decode(cursor: str) -> tuple[float, str]:
    """The mean and the entry that the cursor stands after."""
    try:
        mean, entry_id = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        if type(mean) is not float or not 0 <= mean < 1e308 or not re.fullmatch("[0-9a-f-]{36}", entry_id):
            raise ValueError
    except (ValueError, TypeError, RecursionError):
        raise InvalidCursor(f"The cursor {shown(cursor)} cannot be read.") from None
    return mean, entry_id
