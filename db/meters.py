"""Meters: what the processes count, kept in one table for the whole fleet.

Each process counts in memory and adds what is new to the table every few seconds. So the numbers are those of all
processes together, whoever is asked, and live on when a process ends. What a transaction counts is told after its
commit only; a process that is killed takes the last seconds of its counts with it.
"""

import json
import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Executable, bindparam, select

from db.session import Counted, Session
from db.statements import Prepared, inserting
from db.tables_observing import METER

if TYPE_CHECKING:
    from db.store import Store

QUICK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 600.0)
"""Upper ends of the buckets of seconds that calls take."""

SLOW = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 21600.0)
"""The same for training and waiting."""

SUM = "sum"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What a meter counts. buckets: of a histogram of seconds; none: a counter."""

    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


KINDS: Mapping[str, Kind] = {
    "tool_call_seconds": Kind(help="Calls, by code: ok or the refusal's.", labels=("tool", "code"), buckets=QUICK),
    "job_wait_seconds": Kind(help="From the queuing of a job to its first claim.", buckets=SLOW),
    "chunk_wait_seconds": Kind(help="From the asking for a chunk to an engine's taking it.", buckets=SLOW),
    "chunk_seconds": Kind(help="An engine's work on a chunk, scoring included.", labels=("outcome",), buckets=SLOW),
    "samples_stored": Kind(help="Samples stored.", labels=("provenance",)),
    "decisions": Kind(help="Decisions about runs and recipes.", labels=("action",)),
    "leases_lost": Kind(help="Work that its holder lost, or left behind when it died.", labels=("kind",)),
    "leases_given_back": Kind(help="Work that a process gave back when it was told to end.", labels=("kind",)),
    "process_deaths": Kind(help="Processes beside a server that ended unasked.", labels=("kind",)),
    "kernel_fallbacks": Kind(help="Uses of a slower form where a kernel could not run.", labels=("kernel", "reason")),
}
"""Every meter."""

Key = tuple[str, tuple[tuple[str, str], ...]]


class Meters:
    """What this process has counted and not yet added to the table."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.new: defaultdict[Key, float] = defaultdict(float)

    def add(self, name: str, amount: float = 1.0, **labels: str) -> None:
        """Count."""
        with self.lock:
            self.new[name, tuple(labels.items())] += amount

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        """Put a time into its bucket."""
        given = tuple(labels.items())
        with self.lock:
            self.new[name, (*given, ("le", bucket(KINDS[name].buckets, seconds)))] += 1
            self.new[name, (*given, ("le", SUM))] += seconds

    def merge(self, counted: Iterable[Counted]) -> None:
        """Take in what a transaction counted."""
        for name, amount, labels in counted:
            self.observe(name, amount, **labels) if KINDS[name].buckets else self.add(name, amount, **labels)

    def taken(self) -> dict[Key, float]:
        """All that is new; it counts as added from here on."""
        with self.lock:
            new, self.new = self.new, defaultdict(float)
        return dict(new)

    def flush(self, store: "Store") -> None:
        """Add what is new to the table. What could not be added is kept for the next time."""
        new = self.taken()
        if not new:
            return
        try:
            with store.transaction() as session:
                add(session, new)
        except BaseException:
            with self.lock:
                for key, amount in new.items():
                    self.new[key] += amount
            raise


def bucket(ends: tuple[float, ...], seconds: float) -> str:
    """The upper end of the bucket that a time falls into, as a label."""
    place = bisect_left(ends, seconds)
    return repr(ends[place]) if place < len(ends) else "+Inf"


def add(session: Session, new: Mapping[Key, float]) -> None:
    """Add amounts to the table, in one order for all processes, so that none waits for another in a circle."""
    rows = [(name, json.dumps(dict(sorted(labels)), sort_keys=True), amount) for (name, labels), amount in new.items()]
    for name, labels, amount in sorted(rows):
        ADD.count(session, name=name, labels=labels, value=amount)


def adding(dialect: str) -> Executable:
    """Insert an amount, or add it to what is there."""
    given: dict[str, Any] = {name: bindparam(name) for name in ("name", "labels", "value")}
    new = inserting(dialect, METER).values(**given)
    more = {"value": METER.c.value + new.excluded.value}
    return new.on_conflict_do_update(index_elements=["name", "labels"], set_=more)


ADD = Prepared(adding)
ALL = Prepared(lambda _: select(METER).order_by(METER.c.name, METER.c.labels))


def totals(session: Session) -> list[tuple[str, dict[str, str], float]]:
    """(name, labels, value) of all processes together; of a histogram `le` says the bucket, not cumulated, or `sum`."""
    return [(row.name, json.loads(row.labels), row.value) for row in ALL.rows(session)]
