"""The engine process: takes chunk requests from the store, trains and measures them, stores the samples.

It holds no state that matters: killed at any line, the next engine goes on from the last stored checkpoint and
computes the same bits. Started by `igla serve`, `igla race` or alone by `igla engine`; it ends when its parent does.
"""

import json
import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import structlog
from opentelemetry.trace import NoOpTracer, Tracer
from sqlalchemy.exc import SQLAlchemyError

from db import artifacts, chunks, job_log, queue, samples, workers
from db.checks import InvalidBpb
from db.chunks import RequestView
from db.jobs import LeaseLost
from db.samples import Batch, Written
from errors import ArtifactMissing, Refusal, RunFailed
from kernels import fallbacks
from server.logs import Output, silent
from server.measured import receipt_of, sample_of
from server.runtime import Runtime, utc_now
from server.tracing import chunk_span
from tools import LEASE_SECONDS, Decision, decision_of, judge
from tools.run_chunk import ANSWER, Ran
from tools.write_bpb import Sample
from training.artifacts import ArtifactCorrupt
from training.checkpoint import CheckpointCorrupt
from training.corpus import Corpus, refuse_overlap
from training.engine import Chunk, EnvironmentChanged, Residents, run_chunk
from training.environment import environment
from training.recipe import recipe_from

log = structlog.get_logger()

REQUEST_LEASE = 20.0
"""Seconds that a chunk request stays with an engine that has gone silent; renewed four times as often."""

IDLE_PAUSE = 0.05
"""Seconds between two looks for work."""

SIGNALLED_PAUSE = 1.0
"""Seconds between two looks where the store tells of new work; what a dead engine left behind is found by looking."""


class Abandoned(Exception):
    """Another worker has the job: what was computed is dropped."""


@dataclass(kw_only=True)
class Engine:
    """One engine: a name, the runs it keeps resident and the corpora it has opened."""

    name: str
    runtime: Runtime
    residents: Residents
    output: Output = field(default_factory=silent)
    tracer: Tracer = field(default_factory=NoOpTracer)
    corpora: dict[str, Corpus] = field(default_factory=dict)

    def serve(self, stop: threading.Event) -> None:
        """Work until told to stop."""
        seen = 0.0
        with self.runtime.store.signals.on(chunks.REQUESTS) as new_work:
            while not stop.is_set():
                if time.monotonic() - seen > REQUEST_LEASE / 4:
                    seen = self.sign_of_life()
                with self.runtime.store.transaction() as session:
                    request = chunks.lease(session, self.name, utc_now(), REQUEST_LEASE)
                if request is None:
                    new_work.wait(SIGNALLED_PAUSE if new_work.travels else IDLE_PAUSE)
                else:
                    self.work(request)

    def sign_of_life(self) -> float:
        """Tell the store that this engine lives; gives the moment on the monotonic clock."""
        with self.runtime.store.transaction() as session:
            workers.seen(session, self.name, "engine", utc_now(), f"pid {os.getpid()}")
        self.runtime.store.meters.flush(self.runtime.store)
        return time.monotonic()

    def work(self, request: RequestView) -> None:
        """Train one requested chunk and store it, or store why it could not be. Counts how long it took."""
        meters, began = self.runtime.store.meters, time.monotonic()
        known = {"job": request.job_id, **({"request_id": request.request_id} if request.request_id else {})}
        about = {**known, "engine": self.name, "steps": request.steps}
        with self.output.run(**known), chunk_span(self.tracer, request.traceparent, **about) as span:
            outcome = self.attempt(request)
            span.set_attribute("igla.outcome", outcome)
        meters.observe("chunk_seconds", time.monotonic() - began, outcome=outcome)
        if outcome == "abandoned":
            meters.add("leases_lost", kind="job")
        for (kernel, reason), times in fallbacks.taken().items():
            meters.add("kernel_fallbacks", times, kernel=kernel, reason=reason)

    def attempt(self, request: RequestView) -> str:
        """The same; every log line is bound to the job and to the call that asked. Gives what came of it."""
        try:
            with Renewal(self, request) as renewal:
                ticket = self.ticket(request)
                log.info("chunk_begins", start_step=ticket.start_step, steps=request.steps or ticket.steps)
                chunk = self.train(ticket, request, renewal)
                self.keep(ticket, request, chunk)
            self.let_go(ticket.checkpoint)
            log.info("chunk_done", step=chunk.step, bytes_per_second=round(chunk.bytes_per_second))
            return "errored" if chunk.failure or chunk.score is None else "done"
        except (SystemExit, KeyboardInterrupt):
            self.give_back(request)
            raise
        except (Abandoned, LeaseLost):
            log.warning("chunk_abandoned")
            return "abandoned"
        except Refusal as refusal:
            log.warning("chunk_refused", code=refusal.code, message=refusal.message)
            self.refuse(request, refusal)
            return "refused"
        except (MemoryError, RuntimeError) as error:
            log.exception("chunk_failed")
            self.give_up(request, f"{type(error).__name__} on this machine; the recipe may be too large for it")
            return "failed"

    def keep(self, ticket: queue.Ticket, request: RequestView, chunk: Chunk) -> None:
        """Store a chunk. A measured value that the race cannot believe is a divergence, not an error of the caller."""
        try:
            self.store(ticket, request, chunk)
        except InvalidBpb as refusal:
            self.store(ticket, request, replace(chunk, divergence=refusal.message, score=None))

    def ticket(self, request: RequestView) -> queue.Ticket:
        """What the job looks like now, for the holder of its fence."""
        with self.runtime.store.reading() as session:
            return queue.ticket(session, request.job_id, request.job_fence, utc_now())

    def train(self, ticket: queue.Ticket, request: RequestView, renewal: "Renewal") -> Chunk:
        """Train from the stored checkpoint. In another environment, or without the file, the run starts over."""
        self.corpus(ticket.corpus)
        try:
            return self.chunk(ticket, request, renewal)
        except (EnvironmentChanged, ArtifactMissing, ArtifactCorrupt, CheckpointCorrupt) as change:
            log.warning("run_starts_over", code=change.code, reason=change.message)
            with self.runtime.store.transaction() as session:
                queue.restart(session, ticket.job_id, ticket.fence, environment().digest, utc_now())
            return self.chunk(self.ticket(request), request, renewal)

    def chunk(self, ticket: queue.Ticket, request: RequestView, renewal: "Renewal") -> Chunk:
        """One chunk from the ticket's checkpoint."""
        done = run_chunk(
            recipe=recipe_from(json.loads(ticket.recipe)),
            seed=ticket.seed,
            total_steps=ticket.total_steps,
            steps=request.steps or ticket.steps,
            corpus=self.corpus(ticket.corpus),
            store=self.runtime.artifacts,
            checkpoint=ticket.checkpoint,
            start_step=ticket.start_step,
            residents=self.residents,
            on_step=renewal.check,
        )
        if done.auxiliary:
            log.info("auxiliary", step=done.step, **done.auxiliary)
        return done

    def corpus(self, digest: str) -> Corpus:
        """The corpus of that digest; no run starts on one whose held-out text also stands in another split."""
        if digest not in self.corpora:
            opened = Corpus.load(digest, self.runtime.artifacts)
            refuse_overlap(opened)
            self.corpora[digest] = opened
        return self.corpora[digest]

    def store(self, ticket: queue.Ticket, request: RequestView, chunk: Chunk) -> None:
        """Store the sample with its checkpoint and the answer, in one transaction."""
        now = utc_now()
        with self.runtime.store.transaction() as session:
            if chunk.failure or chunk.score is None:
                log.warning("run_failed", step=chunk.step, reason=str(chunk.failure))
                decision = self.failed(session, ticket, chunk)
                lease = now
                measured: list[Sample] = []
                receipt = None
            else:
                receipt = receipt_of(self.runtime, ticket, chunk)
                written = self.write(session, ticket, chunk, receipt)
                decision, lease = decision_of(written.decision, written.state), written.lease_expires_at
                measured = [sample_of(chunk)]
            answer = Ran(
                job_id=ticket.job_id,
                samples=measured,
                provenance="measured",
                receipt=receipt,
                effective_recipe=dict(chunk.effective_recipe),
                effective_digest=chunk.effective_digest,
                environment=chunk.environment,
                checkpoint=chunk.checkpoint,
                decision=decision,
                bytes_per_second=chunk.bytes_per_second,
                lease_expires_at=lease,
            )
            chunks.finish(session, request.id, request.fence, ANSWER.dump_python(answer, mode="json"), now)

    def let_go(self, checkpoint: str | None) -> None:
        """Remove the file of the checkpoint before the one just stored, unless another run stands at it too."""
        if checkpoint is None:
            return
        with self.runtime.store.transaction() as session:
            if artifacts.let_go(session, checkpoint, utc_now()):
                self.runtime.artifacts.remove(checkpoint)

    def write(self, session: Any, ticket: queue.Ticket, chunk: Chunk, receipt: dict[str, Any]) -> Written:
        """The sample as the store takes it."""
        assert chunk.score is not None
        assert chunk.checkpoint is not None
        if chunk.checkpoint not in self.runtime.artifacts:
            raise ArtifactMissing("The checkpoint was let go by a run that had the same one.")
        size = self.runtime.artifacts.size(chunk.checkpoint)
        artifacts.record(session, chunk.checkpoint, "checkpoint", size, utc_now())
        one = sample_of(chunk)
        batch = Batch(
            job_id=ticket.job_id,
            fence=ticket.fence,
            samples=(one.to_store(),),
            effective_digest=chunk.effective_digest,
            provenance="measured",
            checkpoint=chunk.checkpoint,
            environment=chunk.environment,
            receipt=json.dumps(receipt, sort_keys=True),
            lease_seconds=LEASE_SECONDS,
            measured_by=self.name,
        )
        return samples.write(session, batch, judge, utc_now())

    def failed(self, session: Any, ticket: queue.Ticket, chunk: Chunk) -> Decision:
        """A run that cannot go on is a result: the job ends as errored, with its reason."""
        reason = str(chunk.failure)
        job = queue.fail(session, ticket.job_id, ticket.fence, utc_now(), reason, judge=judge)
        job_log.add(session, ticket.job_id, list(self.output.kept), utc_now())
        return Decision(
            action="error", rung=job.rung, reason=reason, numbers={"step": float(chunk.step)}, state=job.state
        )

    def give_back(self, request: RequestView) -> None:
        """Let another engine take the request up at once: this one ends before it is done."""
        with suppress(LeaseLost), self.runtime.store.transaction() as session:
            chunks.give_back(session, request.id, request.fence)
            log.warning("chunk_given_back")

    def refuse(self, request: RequestView, refusal: Refusal) -> None:
        """Store a refusal as the request's answer, unless another engine has the request."""
        with suppress(LeaseLost), self.runtime.store.transaction() as session:
            chunks.fail(session, request.id, request.fence, refusal.code, refusal.message, utc_now())
            job_log.add(session, request.job_id, list(self.output.kept), utc_now())

    def give_up(self, request: RequestView, reason: str) -> None:
        """End a run that this machine cannot train, and answer why."""
        with suppress(LeaseLost), self.runtime.store.transaction() as session:
            queue.fail(session, request.job_id, request.job_fence, utc_now(), reason, judge=judge)
            chunks.fail(session, request.id, request.fence, RunFailed.code, reason, utc_now())
            job_log.add(session, request.job_id, list(self.output.kept), utc_now())


class Renewal:
    """Renews the request's and the job's lease in the background while the engine trains."""

    def __init__(self, engine: Engine, request: RequestView) -> None:
        self.engine = engine
        self.request = request
        self.done = threading.Event()
        self.lost = False
        self.thread = threading.Thread(target=self.renew, daemon=True)

    def __enter__(self) -> "Renewal":
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.done.set()
        self.thread.join()

    def renew(self) -> None:
        """Renew until the chunk is done or the job is lost."""
        while not self.done.wait(REQUEST_LEASE / 4):
            try:
                with self.engine.runtime.store.transaction() as session:
                    chunks.renew(
                        session,
                        self.request.id,
                        self.request.fence,
                        utc_now(),
                        REQUEST_LEASE,
                        job_lease_seconds=LEASE_SECONDS,
                    )
                self.engine.sign_of_life()
            except Refusal:
                self.lost = True
                return
            except SQLAlchemyError as error:
                log.warning("renewal_waits", error=type(error).__name__)

    def check(self, *_: object) -> None:
        """Called after every optimizer step: stop early when the job is no longer ours."""
        if self.lost:
            raise Abandoned
