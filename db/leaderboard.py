"""Leaderboard: the recipes of a race, best first. One query for every renderer; it never reads the samples."""

import base64
import json
import re
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Select,
    and_,
    bindparam,
    cast,
    func,
    literal_column,
    or_,
    select,
)

from db.races import RaceView
from db.session import Session
from db.statements import Prepared
from db.store import Stored, run
from db.tables import RECIPE, RUNG, STANDING
from errors import InvalidValue, Refusal, shown


class InvalidCursor(Refusal):
    """Send `next_cursor` of the page before, unchanged, or leave it out for the first page."""

    code = "invalid_cursor"
    status = 422


@dataclass(frozen=True, kw_only=True)
class Row:
    """A ranked recipe. `bpb` is what it ranks by: the mean. `values` are in the order of `seeds`; `rung` is from 0.

    quantized: place -> format and mean shares of what it did to the values there; None where no format rounds.
    """

    rank: int
    name: str
    recipe: str
    rung: int
    rungs: int
    seeds: tuple[int, ...]
    values: tuple[float, ...]
    mean: float
    sd: float
    n: int
    bpb: float
    provenance: str
    corpus: str
    quantized: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Page:
    """Some rows, and where the next ones begin; None at the end."""

    rows: tuple[Row, ...]
    next_cursor: str | None


def rows(
    session: Session, race: RaceView, limit: int = 50, cursor: str | None = None, provenance: str = "measured"
) -> Page:
    """Rank by the highest rung first, then by mean, then by digest. A recipe stands on its highest rung only.

    Raises InvalidCursor for a cursor that no page has given.
    """
    if limit < 1:
        raise InvalidValue(f"limit must be at least 1, got {shown(limit)}.")
    asked, now = (race.id, limit, cursor, provenance), version(session, race.id)
    known = READ.get(asked)
    if known is not None and known[0] == now:
        return known[1]
    page = read(session, race, limit, cursor, provenance)
    if session.touched:
        return page  # it may yet be rolled back
    if len(READ) >= MOST_READ:
        READ.clear()
    READ[asked] = (now, page)
    return page


READ: dict[tuple[str, int, str | None, str], tuple[int, Page]] = {}
MOST_READ = 200
"""Pages that a process remembers, each with the version of the board that it read it from, in the same snapshot."""


def version(session: Session, race_id: str) -> int:
    """How often the standings of a race have changed. Equal: the board is the same, whoever reads it."""
    return int(VERSION.one_or_none(session, race=race_id).version or 0)


VERSION = Prepared(
    lambda _: select(cast(func.sum(RUNG.c.version), BigInteger).label("version")).where(
        RUNG.c.race_id == bindparam("race")
    )
)


def read(session: Session, race: RaceView, limit: int, cursor: str | None, provenance: str) -> Page:
    """The page from the rows themselves."""
    rank, after = (0, None) if cursor is None else decode(cursor)
    found = run(session, ranked(race.id, provenance, after).limit(limit + 1)).all()
    page = tuple(row_of(row, rank + i, race) for i, row in enumerate(found[:limit], start=1))
    return Page(rows=page, next_cursor=encode(page[-1]) if len(found) > limit else None)


def leader(session: Session, race_id: str) -> str | None:
    """Digest of the recipe that leads the measured board."""
    top = LEADER.one_or_none(session, race=race_id, provenance="measured")
    return None if top is None else str(top.recipe_digest)


def best(session: Session, race: RaceView) -> Row | None:
    """The first row of the measured board."""
    top = LEADER.one_or_none(session, race=race.id, provenance="measured")
    return None if top is None else row_of(top, 1, race)


def ranked(
    race_id: str | BindParameter[str], provenance: str | BindParameter[str], after: ColumnElement[bool] | None
) -> Select[Any]:
    """Standings in the order of the board, those after a place only."""
    c, higher = STANDING.c, STANDING.alias("higher")
    above = select(higher.c.rung).where(
        higher.c.race_id == c.race_id,
        higher.c.recipe_digest == c.recipe_digest,
        higher.c.rung > c.rung,
        higher.c.provenance == c.provenance,
        higher.c.mean.is_not(None),
    )
    statement = (
        select(STANDING, RECIPE.c.name)
        .join(RECIPE, RECIPE.c.digest == c.recipe_digest)
        .where(c.race_id == race_id, c.provenance == provenance, c.mean.is_not(None), ~above.exists())
        .order_by(c.rung.desc(), c.mean, c.recipe_digest)
    )
    return statement if after is None else statement.where(after)


LEADER = Prepared(lambda _: ranked(bindparam("race"), bindparam("provenance"), None).limit(literal_column("1")))


def row_of(row: Stored, rank: int, race: RaceView) -> Row:
    """A standing as a row of the board."""
    return Row(
        rank=rank,
        name=row.name,
        recipe=row.recipe_digest,
        rung=row.rung,
        rungs=len(race.rungs),
        seeds=race.seeds,
        values=tuple(row.bpbs),
        mean=row.mean,
        sd=row.sd,
        n=row.n,
        bpb=row.mean,
        provenance=row.provenance,
        corpus=race.corpus,
        quantized=row.quantized,
    )


def encode(last: Row) -> str:
    """The place after a row as one opaque word."""
    return base64.urlsafe_b64encode(json.dumps([last.rank, last.rung, last.mean, last.recipe]).encode()).decode()


def decode(cursor: str) -> tuple[int, ColumnElement[bool]]:
    """The rank of the row that the cursor stands after, and the condition for what follows it."""
    try:
        rank, rung, mean, digest = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        if [type(value) for value in (rank, rung, mean, digest)] != [int, int, float, str] or not 0 <= mean < 1e308:
            raise ValueError
        if not (0 < rank < 2**31 and 0 <= rung < 2**31 and re.fullmatch("[0-9a-f]{64}", digest)):
            raise ValueError
    except (ValueError, TypeError, RecursionError):
        raise InvalidCursor(f"The cursor {shown(cursor)} cannot be read.") from None
    c = STANDING.c
    later = or_(c.mean > mean, and_(c.mean == mean, c.recipe_digest > digest))
    return rank, or_(c.rung < rung, and_(c.rung == rung, later))
