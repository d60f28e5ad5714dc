"""Metrics: `/metrics` in the words of Prometheus. Every web process answers for the whole fleet, from the database.

So one address is scraped, also where a load balancer stands before several replicas, nothing is counted twice, and
engines, which listen nowhere, are part of it. Scraping replicas one by one would give each number once a replica.
"""

import hmac
import platform
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import Scope

from db import fleet, meters
from db.calls import Call
from db.fleet import Fleet
from db.meters import KINDS, SUM, Kind, Meters
from db.store import Store
from server.runtime import Runtime, utc_now

log = structlog.get_logger()

VERSION = "0.1.0"
ALIVE_SECONDS = 60.0
"""A process that gave no sign for longer is not counted as living."""

KEPT_SECONDS = 5.0
"""How long an answer is given again: however many scrapers ask, the database is asked this often."""

FLUSH_SECONDS = 5.0


@dataclass(frozen=True)
class CallMeter:
    """A watch that counts calls and how long they took."""

    meters: Meters

    def begins(self, call: Call) -> None:
        """Nothing is counted before the end."""

    def ended(self, call: Call, code: str, seconds: float) -> None:
        """By tool and code: both are ours, never text from outside."""
        self.meters.observe("tool_call_seconds", seconds, tool=call.tool, code=code)


@dataclass
class Metrics:
    """What `/metrics` answers, remembered for some seconds."""

    runtime: Runtime
    lock: threading.Lock = field(default_factory=threading.Lock)
    remembered: dict[str, tuple[float, bytes, str]] = field(default_factory=dict)

    def answer(self, accept: str) -> tuple[bytes, str]:
        """Text and content type: what the scraper prefers of Prometheus' text and OpenMetrics."""
        encode, content_type = choose_encoder(accept)
        with self.lock:
            made, text, _ = self.remembered.get(content_type, (0.0, b"", ""))
            if not text or time.monotonic() - made > KEPT_SECONDS:
                text = encode(self.registry())
                self.remembered[content_type] = (time.monotonic(), text, content_type)
            return text, content_type

    def registry(self) -> CollectorRegistry:
        """What is known at this moment."""
        self.runtime.store.meters.flush(self.runtime.store)
        with self.runtime.store.reading() as session:
            counted = meters.totals(session)
            standing = fleet.fleet(session, utc_now(), ALIVE_SECONDS)
            dialect = session.dialect
        registry = CollectorRegistry()
        registry.register(Given([*gauges(standing, dialect), *families(counted)]))
        return registry


class Given(Collector):
    """Families that are made already."""

    def __init__(self, made: list[Metric]) -> None:
        self.made = made

    def collect(self) -> Iterable[Metric]:
        """As they are."""
        return self.made


def gauges(standing: Fleet, dialect: str) -> Iterator[Metric]:
    """What is open, who lives, and which program answers."""
    told = {"version": VERSION, "python": platform.python_version(), "database": dialect}
    build = GaugeMetricFamily("igla_build_info", "The program that answers.", labels=list(told))
    build.add_metric(list(told.values()), 1)
    jobs = GaugeMetricFamily("igla_jobs", "Queued and running jobs.", labels=["race", "state"])
    for (race, state), count in sorted(standing.jobs.items()):
        jobs.add_metric([race, state], count)
    yield from (build, jobs)
    yield by("igla_chunk_requests", "Chunks asked for: queued, or leased by an engine.", "state", standing.requests)
    yield by("igla_score_requests", "Checkpoints that wait for a scorer or are with one.", "state", standing.scores)
    yield by("igla_entry_runs", "Trials of entries, queued or leased by a runner.", "state", standing.entry_runs)
    yield by("igla_processes", "Who gave a sign of life within a minute.", "kind", standing.processes)
    oldest = "Age of the oldest chunk request that no engine has taken."
    yield GaugeMetricFamily("igla_oldest_chunk_request_seconds", oldest, value=standing.oldest_seconds)


def by(name: str, said: str, label: str, counts: dict[str, int]) -> Metric:
    """A gauge with one label."""
    family = GaugeMetricFamily(name, said, labels=[label])
    for value, count in sorted(counts.items()):
        family.add_metric([value], count)
    return family


def families(counted: Iterable[tuple[str, dict[str, str], float]]) -> Iterator[Metric]:
    """Counters and histograms of all meters, also of those that nothing was counted on yet."""
    found: dict[str, list[tuple[dict[str, str], float]]] = {name: [] for name in KINDS}
    for name, labels, value in counted:
        if name in found:  # a later version may count more
            found[name].append((labels, value))
    for name, kind in KINDS.items():
        yield histogram(name, kind, found[name]) if kind.buckets else counter(name, kind, found[name])


def counter(name: str, kind: Kind, rows: list[tuple[dict[str, str], float]]) -> Metric:
    """A counter; its name ends in _total."""
    family = CounterMetricFamily(f"igla_{name}", kind.help, labels=kind.labels)
    for labels, value in rows:
        family.add_metric([labels[label] for label in kind.labels], value)
    return family


def histogram(name: str, kind: Kind, rows: list[tuple[dict[str, str], float]]) -> Metric:
    """A histogram whose buckets count all that is below, as Prometheus wants them."""
    family = HistogramMetricFamily(f"igla_{name}", kind.help, labels=kind.labels)
    series: dict[tuple[str, ...], dict[str, float]] = {}
    for labels, value in rows:
        series.setdefault(tuple(labels[label] for label in kind.labels), {})[labels["le"]] = value
    for labels_of, values in sorted(series.items()):
        below, cumulated = 0.0, []
        for end in (*map(repr, kind.buckets), "+Inf"):
            below += values.get(end, 0.0)
            cumulated.append((end, below))
        family.add_metric(list(labels_of), cumulated, values.get(SUM, 0.0))
    return family


def presents(scope: Scope, token: str) -> bool:
    """Whether a request carries the token that opens the metrics and nothing else."""
    given = dict(scope["headers"]).get(b"authorization", b"")
    return hmac.compare_digest(given, b"Bearer " + token.encode())


class Flushing:
    """A context manager that adds what this process counts to the table, every few seconds and at the end."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *error: object) -> None:
        self.ending.set()
        self.thread.join()

    def run(self) -> None:
        """Until the end, and once more then."""
        while not self.ending.wait(FLUSH_SECONDS):
            self.flush()
        self.flush()

    def flush(self) -> None:
        """A database that does not answer now is asked again; nothing is lost meanwhile."""
        try:
            self.store.meters.flush(self.store)
        except SQLAlchemyError as error:
            log.warning("meters_wait", error=type(error).__name__)
