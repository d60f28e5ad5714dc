"""The arena process, a runner: takes entry runs from the store, puts them through a trial, stores what was found.

It holds no state that matters: killed at any line, its run is taken up by the next runner. Started by `igla serve`
where the system can sandbox, or alone by `igla arena`; it ends when its parent does.
"""

import json
import os
import shutil
import threading
import time
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import structlog

from db import entries, entry_runs, workers
from db.entries import EntryView
from db.entry_runs import Found, RunView, not_tried
from db.jobs import LeaseLost
from errors import Refusal
from server.keys import signing_key
from server.renewal import Renewal
from server.runtime import Runtime, utc_now
from server.trials import SPLIT, tried
from training.arena.entry import Entry
from training.arena.limits import Limits
from training.arena.outcome import Outcome
from training.arena.receipts import TrialClaims, sign
from training.corpus import Corpus, refuse_overlap

log = structlog.get_logger()

LEASE = 30.0
"""Seconds that a run stays with a runner that has gone silent; renewed four times as often."""

IDLE_PAUSE = 0.3
"""Seconds between two looks for work."""


@dataclass(kw_only=True)
class Runner:
    """One runner: a name and the corpora it has opened."""

    name: str
    runtime: Runtime
    corpora: dict[str, Corpus] = field(default_factory=dict)

    def serve(self, stop: threading.Event) -> None:
        """Work until told to stop."""
        self.sweep()
        seen = 0.0
        while not stop.is_set():
            if time.monotonic() - seen > LEASE / 4:
                self.sign_of_life()
                seen = time.monotonic()
            if not self.work_once():
                stop.wait(IDLE_PAUSE)

    def sign_of_life(self) -> None:
        """Tell the store that this runner lives."""
        with self.runtime.store.transaction() as session:
            workers.seen(session, self.name, "arena", utc_now(), f"pid {os.getpid()}")
        self.runtime.store.meters.flush(self.runtime.store)

    def work_once(self) -> bool:
        """Put one run through its trial. False: none waits. Looking takes no write lock."""
        with self.runtime.store.reading() as session:
            if not entry_runs.waiting(session, self.name, utc_now()):
                return False
        with self.runtime.store.transaction() as session:
            held = entry_runs.lease(session, self.name, utc_now(), LEASE)
        if held is not None:
            self.work(held)
        return held is not None

    def work(self, held: RunView) -> None:
        """Try the entry and store what was found. A runner that is told to stop gives the run back."""
        try:
            with Renewal(lambda: self.renew(held), LEASE / 4):
                found, receipt = self.found(held)
            with self.runtime.store.transaction() as session:
                entry_runs.finish(session, held, found, utc_now(), measured_by=self.name, receipt=receipt)
        except LeaseLost as lost:
            self.runtime.store.meters.add("leases_lost", kind="entry_run")
            log.warning("run_abandoned", run=held.id, message=lost.message)
        except (SystemExit, KeyboardInterrupt):
            self.give_back(held)
            raise

    def renew(self, held: RunView) -> None:
        """Renew the lease, and show that this runner lives: a trial may take long."""
        with self.runtime.store.transaction() as session:
            entry_runs.renew(session, held, utc_now(), LEASE)
        self.sign_of_life()

    def give_back(self, held: RunView) -> None:
        """Put the run back into the queue, unless it is not ours any more."""
        try:
            with self.runtime.store.transaction() as session:
                entry_runs.give_back(session, held)
        except LeaseLost as lost:
            log.warning("run_abandoned", run=held.id, message=lost.message)

    def found(self, held: RunView) -> tuple[Found, str | None]:
        """What a trial found, with its receipt. What the arena itself refuses is no verdict on the entry."""
        try:
            with self.runtime.store.reading() as session:
                entry = entries.get(session, held.entry_id)
            outcome = self.trial(entry, held)
        except Refusal as refusal:
            log.warning("run_not_tried", run=held.id, code=refusal.code, message=refusal.message)
            return not_tried(f"{refusal.code}: {refusal.message}"), None
        return found_of(outcome), self.receipt(entry, held, outcome)

    def trial(self, entry: EntryView, held: RunView) -> Outcome:
        """Run the entry in a folder of its own."""
        corpus = self.corpus(held.corpus)
        given = Entry(
            name=entry.name,
            script=self.runtime.artifacts.get(entry.script),
            sha256=entry.script,
            env=entry.env,
            golden_state=entry.golden_state,
        )
        return tried(
            given,
            corpus,
            private=corpus.manifest.heldout == held.heldout == "private",
            limits=Limits(**held.limits),
            seed=held.seed,
            python=self.runtime.settings.arena_interpreter,
            home=self.home,
        )

    def corpus(self, digest: str) -> Corpus:
        """The corpus of that digest, with splits that share nothing."""
        if digest not in self.corpora:
            corpus = Corpus.load(digest, self.runtime.artifacts)
            refuse_overlap(corpus)
            self.corpora[digest] = corpus
        return self.corpora[digest]

    @property
    def home(self) -> Path:
        """Where this runner's trials lie while they run."""
        return self.runtime.settings.data.resolve() / "arena" / self.name

    def sweep(self) -> None:
        """Remove what a runner of this name left behind when it died."""
        shutil.rmtree(self.home, ignore_errors=True)

    def receipt(self, entry: EntryView, held: RunView, outcome: Outcome) -> str | None:
        """The signed statement of what was found; none of an entry that failed."""
        numbers = (outcome.nll_sum, outcome.byte_count, outcome.code_bytes, outcome.artifact_bytes)
        if outcome.failed is not None or outcome.provenance is None or any(one is None for one in numbers):
            return None
        claims = TrialClaims(
            run=held.id,
            fence=held.fence,
            entry=entry.id,
            script=entry.script,
            seed=held.seed,
            track=held.track,
            contest=held.contest,
            corpus=held.corpus,
            split=SPLIT,
            mode=outcome.mode,
            provenance=outcome.provenance,
            nll_sum=outcome.nll_sum or 0.0,
            byte_count=outcome.byte_count or 0,
            code_bytes=outcome.code_bytes or 0,
            artifact_bytes=outcome.artifact_bytes or 0,
        )
        return json.dumps(sign(claims, signing_key(self.runtime.settings.data)), sort_keys=True)


def found_of(outcome: Outcome) -> Found:
    """An outcome as the store keeps it."""
    same = {each.name: getattr(outcome, each.name) for each in fields(Found) if each.name != "checks"}
    return Found(**same, checks=[asdict(check) for check in outcome.checks])
