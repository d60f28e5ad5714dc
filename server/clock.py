"""Clock: what is done now and then, in one process of all that share a database.

Every clock tries to hold one lease; the one that does runs the timetable, and the others wait for the lease to end. A
chore looks at the lease before it begins, and doing it twice equals doing it once: a leader that was thought dead, and
finishes a chore late, spoils nothing.
"""

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy.exc import SQLAlchemyError

from db import audit, changes, leases, tasks, traffic
from db.leases import LeaseView
from server.gc import GRACE_SECONDS, collect
from server.runtime import Runtime, utc_now
from training.artifacts import ArtifactFolder

log = structlog.get_logger()

LEADER = "clock"
"""The lease of the clock that leads."""

LEASE_SECONDS = 15.0
"""A clock that dies is followed by another within this time; one that ends in order, at the next look."""

SOON_SECONDS = 60.0
"""A new leader begins every chore after this time, or sooner: restarts must not put it off for ever."""

DAY = 24 * 3600.0


@dataclass(frozen=True, kw_only=True)
class Chore:
    """Something done every so often. work: does it and tells how much there was; it may be repeated at any time."""

    every_seconds: float
    work: Callable[[Runtime, datetime], Mapping[str, Any]]


def collect_garbage(runtime: Runtime, now: datetime) -> Mapping[str, Any]:
    """Artifacts that no row needs, and uploads that nobody went on with."""
    gone = collect(runtime, now, GRACE_SECONDS, dry_run=False)
    return {"files": len(gone.files), "bytes": gone.byte_count, "uploads": gone.uploads}


def sweep_folder(runtime: Runtime, now: datetime) -> Mapping[str, Any]:
    """What interrupted writers left in the folder of artifacts; a bucket keeps no such things."""
    folder = runtime.artifacts
    return {"files": folder.sweep(GRACE_SECONDS, now) if isinstance(folder, ArtifactFolder) else 0}


def forget_tasks(runtime: Runtime, now: datetime) -> Mapping[str, Any]:
    """Handles on calls of long ago."""
    with runtime.store.transaction() as session:
        return {"tasks": tasks.sweep(session, now - timedelta(days=runtime.settings.task_days))}


def forget_changes(runtime: Runtime, now: datetime) -> Mapping[str, Any]:
    """Versions of what has not changed for a day."""
    before = int((now.timestamp() - DAY) * 1e6)
    with runtime.store.transaction() as session:
        return {"topics": changes.sweep(session, before)}


def forget_old(runtime: Runtime, now: datetime) -> Mapping[str, Any]:
    """Rows of who changed what, and calls, as old as the settings say."""
    kept = {
        "audit": (audit.sweep, runtime.settings.audit_days),
        "traffic": (traffic.sweep, runtime.settings.traffic_days),
    }
    gone = {}
    for name, (sweep, days) in kept.items():
        if days:
            with runtime.store.transaction() as session:
                gone[name] = sweep(session, now - timedelta(days=days))
    return gone


CHORES: Mapping[str, Chore] = {
    "collect_garbage": Chore(every_seconds=3600, work=collect_garbage),
    "sweep_folder": Chore(every_seconds=3600, work=sweep_folder),
    "forget_tasks": Chore(every_seconds=3600, work=forget_tasks),
    "forget_old": Chore(every_seconds=3600, work=forget_old),
    "forget_changes": Chore(every_seconds=DAY, work=forget_changes),
}


class Clock:
    """One clock process. lease: while it leads; what it does is on the threads of its timetable."""

    def __init__(
        self,
        name: str,
        runtime: Runtime,
        chores: Mapping[str, Chore] = CHORES,
        lease_seconds: float = LEASE_SECONDS,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.holder = f"{name}-{secrets.token_hex(4)}"  # nobody else, nor this one after a restart, has the name
        self.runtime = runtime
        self.chores = chores
        self.lease_seconds = lease_seconds
        self.clock = clock
        self.lease: LeaseView | None = None
        self.timetable: BackgroundScheduler | None = None

    def serve(self, stop: threading.Event) -> None:
        """Lead whenever nobody else does, until told to stop."""
        try:
            while not stop.is_set():
                self.look()
                stop.wait(self.lease_seconds / 4)
        finally:
            self.resign()

    def look(self) -> None:
        """Take or renew the lease, and begin or end to lead accordingly."""
        led = self.lease is not None
        try:
            with self.runtime.store.transaction() as session:
                self.lease = leases.take(session, LEADER, self.holder, self.clock(), self.lease_seconds)
        except SQLAlchemyError:
            log.exception("clock_cannot_look")
            if self.leads():
                return
            self.lease = None
        if self.lease is not None and not led:
            log.info("clock_leads", holder=self.holder, fence=self.lease.fence)
            self.timetable = self.started()
        elif self.lease is None and led:
            log.warning("clock_leads_no_more", holder=self.holder)
            self.stopped(wait=False)

    def leads(self) -> bool:
        """Whether its lease, as it knows it, has not ended."""
        return self.lease is not None and self.lease.expires_at > self.clock()

    def resign(self) -> None:
        """End what is under way in order, then let another lead at once."""
        self.stopped(wait=True)
        if self.lease is not None:
            with self.runtime.store.transaction() as session:
                leases.give_back(session, self.lease, self.clock())
            self.lease = None

    def started(self) -> BackgroundScheduler:
        """The timetable. Chores that were missed are done once; each has one thread at most."""
        made = BackgroundScheduler(timezone=UTC)
        for name, chore in self.chores.items():
            first = datetime.now(UTC) + timedelta(seconds=min(SOON_SECONDS, chore.every_seconds))
            made.add_job(
                self.do, "interval", [name], id=name, seconds=chore.every_seconds, next_run_time=first,
                coalesce=True, max_instances=1, misfire_grace_time=None,
            )  # fmt: skip
        made.start()
        return made

    def stopped(self, *, wait: bool) -> None:
        """End the timetable."""
        if self.timetable is not None:
            self.timetable.shutdown(wait=wait)
            self.timetable = None

    def do(self, name: str) -> None:
        """Do one chore, if this process still leads. One that fails is tried again at its next time."""
        if not self.leads():
            return
        began = time.monotonic()
        try:
            done = self.chores[name].work(self.runtime, self.clock())
        except Exception:
            log.exception("chore_failed", chore=name)
        else:
            log.info("chore_done", chore=name, seconds=round(time.monotonic() - began, 3), **done)
