"""Races: what makes numbers comparable, fixed once and for all when the race is created."""

import re
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from uuid import uuid4

from sqlalchemy import bindparam, insert, select

from db.session import Session
from db.statements import Prepared
from db.store import Stored, insert_missing, run
from db.tables import RACE, RUNG
from errors import InvalidValue, Refusal, shown, unknown


class RaceExists(Refusal):
    """Choose another name, or leave out the settings to use the race as it is."""

    code = "race_exists"
    status = 409


@dataclass(frozen=True, kw_only=True)
class RaceSpec:
    """The settings of a race.

    corpus: digest of the corpus. heldout: public or private. budget_bytes: text that a run at the top rung trains on.
    rungs: fractions (numerator, denominator) of the budget, rising to the whole. chunks: reports that a run makes at
    each rung. eta: one recipe in eta moves up. quorum: recipes that are through with the first rung before the first
    promotion, a rung higher an eta-th of that; 0 for eta recipes at every rung. sanity: lowest and highest bits per
    byte that are believed.
    """

    name: str
    corpus: str
    corpus_name: str
    budget_bytes: int
    seeds: tuple[int, ...]
    warmup_fraction: float = 0.1
    rungs: tuple[tuple[int, int], ...] = ((1, 9), (1, 3), (1, 1))
    chunks: tuple[int, ...] = (2, 3, 6)
    eta: int = 3
    quorum: int = 0
    pruner: str = "short_schedules"
    sanity: tuple[float, float] = (0.3, 8.0)
    heldout: str = "public"


@dataclass(frozen=True, kw_only=True)
class RaceView(RaceSpec):
    """A stored race."""

    id: str
    created_at: datetime

    @property
    def spec(self) -> RaceSpec:
        """The settings alone."""
        return RaceSpec(**{field.name: getattr(self, field.name) for field in fields(RaceSpec)})

    def quorum_at(self, rung: int) -> int:
        """Recipes that must be through with a rung before the first is promoted from it."""
        return max(1, int(self.quorum // self.eta**rung)) if self.quorum else self.eta

    def bytes_at(self, rung: int) -> int:
        """Text that a run at a rung trains on."""
        numerator, denominator = self.rungs[rung]
        return self.budget_bytes * numerator // denominator


def create(session: Session, spec: RaceSpec, now: datetime) -> RaceView:
    """Store a race. The same name and settings give the race that is there; other settings are refused (RaceExists)."""
    check(spec)
    race_id = str(uuid4())
    if insert_missing(session, RACE, {"id": race_id, "created_at": now, **asdict(spec)}):
        rungs = [
            {"race_id": race_id, "rung": i, "numerator": part[0], "denominator": part[1], "chunks": chunks}
            for i, (part, chunks) in enumerate(zip(spec.rungs, spec.chunks, strict=True))
        ]
        run(session, insert(RUNG), rungs)
        session.touched.add(("race", race_id))
    found = find(session, spec.name)
    if found.spec != spec:
        names = [field.name for field in fields(RaceSpec) if getattr(found, field.name) != getattr(spec, field.name)]
        raise RaceExists(f"Race {spec.name} exists with another {', '.join(names)}.")
    return found


def find(session: Session, name: str) -> RaceView:
    """A race by name. An unknown name is refused with the nearest known one."""
    row = BY_NAME.one_or_none(session, name=name)
    if row is None:
        raise unknown("race", name, run(session, select(RACE.c.name)).scalars())
    return view(row)


def by_id(session: Session, race_id: str) -> RaceView:
    """A race by the id that another row holds. Neither ever changes, so a process reads it once."""
    if race_id not in KNOWN:
        if len(KNOWN) >= MOST_KNOWN:
            KNOWN.clear()
        KNOWN[race_id] = view(BY_ID.one_or_none(session, race_id=race_id))
    return KNOWN[race_id]


BY_NAME = Prepared(lambda _: select(RACE).where(RACE.c.name == bindparam("name")))
BY_ID = Prepared(lambda _: select(RACE).where(RACE.c.id == bindparam("race_id")))
KNOWN: dict[str, RaceView] = {}
MOST_KNOWN = 1000
"""Races that a process remembers."""


def listing(session: Session) -> list[RaceView]:
    """Every race, oldest first."""
    return [view(row) for row in run(session, select(RACE).order_by(RACE.c.created_at, RACE.c.name))]


def view(row: Stored) -> RaceView:
    """A race's row as a value."""
    values = row._asdict()
    for name in ("seeds", "chunks", "sanity"):
        values[name] = tuple(values[name])
    return RaceView(**{**values, "rungs": tuple((part[0], part[1]) for part in values["rungs"])})


def check(spec: RaceSpec) -> None:
    """Refuse (InvalidValue) what could not be raced."""
    low, high = spec.sanity
    parts = [numerator / denominator for numerator, denominator in spec.rungs if denominator > 0]
    rules = {
        "name": re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", spec.name) is not None,
        "budget_bytes": 0 < spec.budget_bytes < 2**63,
        "seeds": 0 < len(spec.seeds) == len(set(spec.seeds)) and all(0 <= seed < 2**63 for seed in spec.seeds),
        "warmup_fraction": 0 <= spec.warmup_fraction < 1,
        "rungs": 0 < len(parts) == len(spec.rungs) and parts == sorted(set(parts)) and parts[0] > 0 and parts[-1] == 1,
        "chunks": len(spec.chunks) == len(spec.rungs) and all(0 < count < 2**31 for count in spec.chunks),
        "eta": 2 <= spec.eta < 2**31,
        "quorum": 0 <= spec.quorum < 2**31,
        "sanity": 0 <= low < high < float("inf"),
        "heldout": spec.heldout in ("public", "private"),
    }
    for name, holds in rules.items():
        if not holds:
            raise InvalidValue(f"{name} of a race cannot be {shown(getattr(spec, name))}.")
