"""The scorer process: measures checkpoints that came from outside, on this server's own bytes, and stores the values.

It holds no state that matters. Started by `igla serve`, or alone by `igla scorer`; it ends when its parent does.
"""

import json
import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from db import artifacts, scores, workers
from db.checks import SampleIn
from db.jobs import LeaseLost
from db.scores import Score
from errors import Refusal
from server.keys import signing_key
from server.renewal import Renewal
from server.runtime import Runtime, utc_now
from tools import judge
from training.corpus import Corpus
from training.receipts import Claims, sign

log = structlog.get_logger()

LEASE = 30.0
"""Seconds that a checkpoint stays with a scorer that has gone silent; renewed four times as often."""

IDLE_PAUSE = 0.3
"""Seconds between two looks for work."""


@dataclass(kw_only=True)
class Scorer:
    """One scorer: a name and the corpora it has opened."""

    name: str
    runtime: Runtime
    corpora: dict[str, Corpus] = field(default_factory=dict)

    def serve(self, stop: threading.Event) -> None:
        """Work until told to stop."""
        seen = 0.0
        while not stop.is_set():
            if time.monotonic() - seen > LEASE / 4:
                self.sign_of_life()
                seen = time.monotonic()
            if not self.work_once():
                stop.wait(IDLE_PAUSE)

    def sign_of_life(self) -> None:
        """Tell the store that this scorer lives."""
        with self.runtime.store.transaction() as session:
            workers.seen(session, self.name, "scorer", utc_now(), f"pid {os.getpid()}")
        self.runtime.store.meters.flush(self.runtime.store)

    def work_once(self) -> bool:
        """Measure one checkpoint. False: none waits. Looking takes no write lock."""
        with self.runtime.store.reading() as session:
            if not scores.waiting(session, utc_now()):
                return False
        with self.runtime.store.transaction() as session:
            score = scores.lease(session, self.name, utc_now(), LEASE)
        if score is not None:
            self.work(score)
        return score is not None

    def work(self, score: Score) -> None:
        """Measure a checkpoint and store the value, or why the checkpoint is refused."""
        try:
            with Renewal(lambda: self.renew(score), LEASE / 4):
                self.measure(score)
        except (SystemExit, KeyboardInterrupt):
            with suppress(LeaseLost), self.runtime.store.transaction() as session:
                scores.give_back(session, score)
            raise
        except LeaseLost as lost:
            self.runtime.store.meters.add("leases_lost", kind="score")
            log.warning("score_abandoned", job=score.job_id, step=score.step, message=lost.message)
            return
        except Refusal as refusal:
            log.warning("checkpoint_refused", job=score.job_id, step=score.step, code=refusal.code)
            with self.runtime.store.transaction() as session:
                gone = scores.refuse(session, score, refusal, utc_now())
        else:
            with self.runtime.store.transaction() as session:
                outgrown = artifacts.outgrown(session, score.job_id)
                gone = [digest for digest in outgrown if artifacts.let_go(session, digest, utc_now())]
        for digest in gone:
            self.runtime.artifacts.remove(digest)

    def renew(self, score: Score) -> None:
        """Renew the lease of a score."""
        with self.runtime.store.transaction() as session:
            scores.renew(session, score, utc_now(), LEASE)

    def measure(self, score: Score) -> None:
        """Load, score, sign, store."""
        from training.rescore import rescore  # torch comes in with the first checkpoint

        if score.deliveries > scores.MOST_DELIVERIES:
            raise scores.ScorersFailed(f"{score.deliveries - 1} scorers died over this checkpoint.")
        corpus = self.corpus(score.corpus)
        found = rescore(
            self.runtime.artifacts.get(score.checkpoint),
            corpus.split("validation"),
            documents=corpus.lengths("validation"),
            recipe_digest=score.recipe_digest,
            seed=score.seed,
            total_steps=score.total_steps,
            step=score.step,
        )
        value = found.score
        measured = SampleIn(
            step=score.step,
            bpb=value.bpb,
            nll_sum=value.nll_sum,
            byte_count=value.byte_count,
            quantized=found.quantized or None,
        )
        receipt = self.receipt(score, measured, found.environment, value.version)
        with self.runtime.store.transaction() as session:
            scores.measure(
                session,
                score,
                measured,
                receipt=receipt,
                measured_by=self.name,
                same_environment=found.same_environment,
                judge=judge,
                now=utc_now(),
            )

    def corpus(self, digest: str) -> Corpus:
        """The corpus of that digest."""
        if digest not in self.corpora:
            self.corpora[digest] = Corpus.load(digest, self.runtime.artifacts)
        return self.corpora[digest]

    def receipt(self, score: Score, measured: SampleIn, environment: str, version: str) -> str:
        """The signed statement of what was measured on what."""
        claims = Claims(
            job=score.job_id,
            fence=score.job_fence,
            step=score.step,
            nll_sum=measured.nll_sum,
            byte_count=measured.byte_count,
            corpus=score.corpus,
            split="validation",
            recipe=score.recipe_digest,
            checkpoint=score.checkpoint,
            environment=environment,
            scorer=version,
        )
        return json.dumps(sign(claims, signing_key(self.runtime.settings.data)), sort_keys=True)
