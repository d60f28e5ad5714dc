"""Audit: a fleet held to what our own database knows. Pure, over a fleet, what its services said last, and our rows.

| code | what | severity |
|---|---|---|
| D1 | a service of a template whose worker never had a job | warn |
| D2 | a running job whose worker's service is gone | warn |
| D3 | a worker says another value than we measured at that step | error |
| D4 | a worker speaks of a fallback corpus and says next to nothing is left to predict | error |
| D5 | a value beyond 1e30 | error |
| D6 | no sign of life for an hour of a worker with a running job | warn |
| D7 | a service runs another image or repository than its account names | warn |
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from db.deploys import WorkerJob
from server.railway.accounts import Account
from server.railway.fleet import Fleet

TOLERANCE = 0.01
NOTHING_LEFT = 0.001
BROKEN = 1e30
SILENCE = timedelta(hours=1)

SAID = re.compile(
    r"^(?P<race>\S+)  rung (?P<rung>\d+)  seed (?P<seed>\d+)  .*"
    r"  step (?P<step>\d+) of \d+: (?P<bpb>\d+(?:\.\d+)?|nan|inf) bpb ",
)
"""The line that `igla work` prints for each chunk."""

FALLBACK = re.compile(r"fallback", re.IGNORECASE)
SEVERITY = {"D1": "warn", "D2": "warn", "D3": "error", "D4": "error", "D5": "error", "D6": "warn", "D7": "warn"}
EXIT_CODES = {"Drift": 1, "Gate2Pass": 0, "NotYet": 2}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is not as it should be. seen, expected: numbers, where it is about numbers."""

    code: str
    severity: str
    service: str
    seen: float | None = None
    expected: float | None = None


@dataclass(frozen=True, kw_only=True)
class Audit:
    """All findings and what follows. below_target: services with a measured value below the target."""

    verdict: str
    findings: tuple[Finding, ...]
    below_target: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """What a command ends with."""
        return EXIT_CODES[self.verdict]


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """A value that a worker printed."""

    race: str
    rung: int
    seed: int
    step: int
    bpb: float


def spoken(lines: Iterable[str]) -> list[Spoken]:
    """The values in a worker's log lines; all other lines say nothing here."""
    found = [match for line in lines if (match := SAID.match(line))]
    return [
        Spoken(
            race=one["race"], rung=int(one["rung"]), seed=int(one["seed"]), step=int(one["step"]), bpb=float(one["bpb"])
        )
        for one in found
    ]


def audit(
    fleet: Fleet,
    said: Mapping[str, Sequence[str]],
    rows: Sequence[WorkerJob],
    account: Account,
    ours: Callable[[str], bool],
    now: datetime,
    *,
    target: float,
    needed: int = 3,
) -> Audit:
    """Judge a fleet. said: service -> its last log lines. ours: whether a service's name is one of a template's.

    An error means Drift; else with `needed` services below the target Gate2Pass; else NotYet.
    """
    names = {one.name for one in fleet.services}
    found = [Finding(code="D2", severity=SEVERITY["D2"], service=name) for name in gone(rows, names)]
    for service in fleet.services:
        if ours(service.name):
            mine = [row for row in rows if row.worker == service.name]
            wrong_source = (service.image, service.repo) != (account.image, account.repo)
            found += judge(service.name, said.get(service.name, ()), mine, now, wrong_source=wrong_source)
    below = sorted({row.worker for row in rows if row.worker in names and best(row) < target})
    verdict = "Gate2Pass" if len(below) >= needed else "NotYet"
    if any(one.severity == "error" for one in found):
        verdict = "Drift"
    return Audit(verdict=verdict, findings=tuple(found), below_target=tuple(below))


def gone(rows: Sequence[WorkerJob], names: set[str]) -> list[str]:
    """Workers with a running job whose service is not there."""
    return sorted({row.worker for row in rows if row.state == "running" and row.worker not in names})


def best(row: WorkerJob) -> float:
    """The lowest measured value of a job."""
    return min(row.measured.values(), default=math.inf)


def judge(
    name: str, lines: Sequence[str], rows: Sequence[WorkerJob], now: datetime, *, wrong_source: bool
) -> list[Finding]:
    """The findings of one service that is there."""
    found: list[Finding] = []

    def add(code: str, seen: float | None = None, expected: float | None = None) -> None:
        one = Finding(code=code, severity=SEVERITY[code], service=name, seen=shown(seen), expected=shown(expected))
        if one not in found:
            found.append(one)

    if not rows:
        add("D1")
    stored = {(row.race, row.rung, row.seed, step): bpb for row in rows for step, bpb in row.measured.items()}
    values = spoken(lines)
    for one in values:
        measured = stored.get((one.race, one.rung, one.seed, one.step))
        if measured is not None and not abs(one.bpb - measured) <= TOLERANCE:
            add("D3", one.bpb, measured)
    if any(FALLBACK.search(line) for line in lines):
        for one in values:
            if one.bpb < NOTHING_LEFT:
                add("D4", one.bpb)
    for bpb in [*(one.bpb for one in values), *stored.values()]:
        if not bpb <= BROKEN:
            add("D5", bpb)
    if any(row.state == "running" and is_silent(row, now) for row in rows):
        add("D6")
    if wrong_source:
        add("D7")
    return found


def is_silent(row: WorkerJob, now: datetime) -> bool:
    """Whether an hour has gone by without a sign of life."""
    return row.last_sign is None or now - row.last_sign > SILENCE


def shown(value: float | None) -> float | None:
    """The value as JSON can have it."""
    return value if value is not None and math.isfinite(value) else None
