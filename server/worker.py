"""A remote worker: claims jobs of a server elsewhere, trains them here, uploads what came of it and reports it.

It needs an address and a token, nothing else, and makes outbound HTTP requests only. What it reports is claimed until
the server's scorer has measured the checkpoint; signed with the key of an enrolled worker, it is measured at once.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import structlog
import torch
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from db.jobs import LeaseLost
from db.queue import QueueEmpty, next_boundary
from errors import Refusal
from server.auth import WrongOrigin
from server.credentials import Unauthorized
from server.heldout import ArtifactPrivate
from server.remote import Remote, Unreachable, backoff
from server.toolbox import ScopeMissing
from training.artifacts import ArtifactFolder
from training.corpus import Corpus, refuse_overlap
from training.engine import Chunk, Residents, run_chunk
from training.environment import environment
from training.receipts import Claims, sign
from training.recipe import recipe_from
from training.splits import SPLITS

log = structlog.get_logger()

HEARTBEAT_SECONDS = 15.0
"""Between two heartbeats: a quarter of the lease."""

HOPELESS = (Unauthorized, ScopeMissing, WrongOrigin)
"""Refusals that no other job and no other try changes."""


class PrivateHeldout(Refusal):
    """Name another race with --race: the held-out text of this one stays with the server, so no worker can score it."""

    code = "private_heldout"
    status = 403


class TooManyFailures(Refusal):
    """Look at the reasons above: this machine failed job after job, and stops before it harms more of the queue."""

    code = "too_many_failures"
    status = 500


class Stopped(Exception):
    """Somebody wants this worker to end."""


class Failed(Exception):
    """The run has no next checkpoint."""


@dataclass(kw_only=True)
class Run:
    """A claimed job and how far it is."""

    ticket: Mapping[str, Any]
    step: int
    checkpoint: str | None

    @property
    def held(self) -> dict[str, Any]:
        """What every write carries."""
        return {"job_id": self.ticket["job_id"], "fence": self.ticket["fence"]}

    @property
    def steps(self) -> int:
        """Optimizer steps of the next chunk."""
        return next_boundary(self.step, self.ticket["total_steps"], self.ticket["chunks"]) - self.step


Told = Callable[[str, Run, Mapping[str, Any]], None]
"""Called with what happened (`claimed`, `step`, `chunk`, `lost`, `failed`, `ended`), to whom, and the numbers."""


@dataclass(kw_only=True)
class Worker:
    """One worker. store holds its checkpoints, corpora what it has fetched of corpora; both are local folders."""

    name: str
    remote: Remote
    store: ArtifactFolder
    corpora: ArtifactFolder
    stop: threading.Event
    told: Told
    race: str | None = None
    key: Ed25519PrivateKey | None = None
    most_failures: int = 10
    idle_exit: float | None = None
    residents: Residents = field(default_factory=Residents)
    opened: dict[str, Corpus] = field(default_factory=dict)

    def work(self) -> None:
        """Work until told to stop, idle for too long, or sick. Raises TooManyFailures, PrivateHeldout and HOPELESS."""
        torch.set_num_threads(1)
        failures, idle, empty = 0, 0.0, 0
        while not self.stop.is_set() and (self.idle_exit is None or idle < self.idle_exit):
            try:
                run = self.claim()
                empty, idle = 0, 0.0
                failures = 0 if self.finish(run) else failures + 1
            except QueueEmpty:
                pause = backoff(min(empty, 4), self.remote.chance)
                empty, idle = empty + 1, idle + pause
                self.stop.wait(pause)
                continue
            except Unreachable as refusal:
                log.warning("unreachable", message=refusal.message)
                failures += 1
            if failures >= self.most_failures:
                raise TooManyFailures(f"{failures} jobs in a row failed.")
            if failures:
                self.stop.wait(backoff(failures, self.remote.chance))

    def claim(self) -> Run:
        """The next job. One that began in another environment starts over."""
        wanted = {"race": self.race} if self.race else {}
        claimed = self.remote.call("claim_job", worker=self.name, environment=environment().digest, **wanted)
        (ticket,) = claimed["tickets"]
        run = Run(ticket=ticket, step=ticket["start_step"], checkpoint=ticket["checkpoint"])
        self.told("claimed", run, {})
        return run

    def finish(self, run: Run) -> bool:
        """Train a job to its end, or as far as this worker gets. False: it failed here."""
        try:
            with Heartbeat(self.remote, run.held) as heartbeat:
                while self.chunk(run, heartbeat) == "continue":
                    pass
        except Stopped:
            self.release(run, "the worker was stopped")
        except LeaseLost as lost:
            self.told("lost", run, {"reason": lost.message})
        except ArtifactPrivate as refused:
            self.release(run, "the held-out text is private: train this race with run_chunk on the server")
            raise PrivateHeldout(f"Race {run.ticket['race']}: {refused.message}") from refused
        except (Unreachable, *HOPELESS):
            raise
        except Failed as failure:
            self.release(run, f"failed on {self.name}: {failure}")
            return False
        except Exception as failure:  # whatever this machine cannot do, another may: give the job back
            log.warning("job_failed", job=run.ticket["job_id"], error=f"{type(failure).__name__}: {failure}"[:300])
            self.release(run, f"failed on {self.name}: {type(failure).__name__}")
            return False
        return True

    def chunk(self, run: Run, heartbeat: "Heartbeat") -> str:
        """One chunk: train, upload, report. Gives the action that the race decided on."""
        chunk = self.train(run, heartbeat)
        if chunk.failure or chunk.checkpoint is None or chunk.score is None:
            raise Failed(str(chunk.failure))
        self.remote.upload(chunk.checkpoint, self.store)
        written = self.remote.call("write_bpb", **run.held, **self.report(run, chunk))
        if run.checkpoint is not None and run.checkpoint != chunk.checkpoint:
            self.store.remove(run.checkpoint)
        run.step, run.checkpoint = chunk.step, chunk.checkpoint
        action: str = written["decision"]["action"]
        told = {"bpb": chunk.score.bpb, "provenance": written["provenance"], "note": written["note"], "action": action}
        self.told("chunk" if action == "continue" else "ended", run, told)
        return action

    def train(self, run: Run, heartbeat: "Heartbeat") -> Chunk:
        """Train and score here."""

        def on_step(step: int, bits: float) -> None:
            heartbeat.check()
            if self.stop.is_set():
                raise Stopped
            self.told("step", run, {"step": step, "train_bits": bits})

        if self.stop.is_set():
            raise Stopped
        if run.checkpoint is not None:
            self.remote.fetch(run.checkpoint, self.store)
        done = run_chunk(
            recipe=recipe_from(run.ticket["recipe"]),
            seed=run.ticket["seed"],
            total_steps=run.ticket["total_steps"],
            steps=run.steps,
            corpus=self.corpus(run.ticket["corpus"]),
            store=self.store,
            checkpoint=run.checkpoint,
            residents=self.residents,
            on_step=on_step,
        )
        if done.auxiliary:
            log.info("auxiliary", job=run.ticket["job_id"], step=done.step, **done.auxiliary)
        return done

    def corpus(self, digest: str) -> Corpus:
        """The corpus of that digest, fetched where it is missing. Raises ArtifactPrivate, SplitOverlap."""
        if digest not in self.opened:
            self.remote.fetch(digest, self.corpora)
            corpus = Corpus.load(digest, self.corpora)
            for name in SPLITS:
                self.remote.fetch(corpus.manifest.splits[name].sha256, self.corpora)
            refuse_overlap(corpus)
            self.opened[digest] = corpus
        return self.opened[digest]

    def report(self, run: Run, chunk: Chunk) -> dict[str, Any]:
        """What `write_bpb` is told of a chunk."""
        assert chunk.score is not None
        value = {"bpb": chunk.score.bpb, "nll_sum": chunk.score.nll_sum, "byte_count": chunk.score.byte_count}
        quantized = {place: dict(figures) for place, figures in chunk.quantized.items()}
        told = {
            "samples": [{"step": chunk.step, **value, **({"quantized": quantized} if quantized else {})}],
            "effective_digest": chunk.effective_digest,
            "checkpoint": chunk.checkpoint,
            "environment": chunk.environment,
        }
        return told if self.key is None else {**told, "receipt": sign(claims(run, chunk), self.key)}

    def release(self, run: Run, reason: str) -> None:
        """Give the job back so that nobody has to wait for its lease to end."""
        self.told("failed", run, {"reason": reason})
        try:
            self.remote.call("release_job", **run.held, reason=reason[:200])
        except (LeaseLost, Unreachable) as refusal:
            log.warning("not_released", job=run.ticket["job_id"], code=refusal.code)


def claims(run: Run, chunk: Chunk) -> Claims:
    """What a receipt for a chunk states."""
    assert chunk.score is not None
    assert chunk.checkpoint is not None
    return Claims(
        job=run.ticket["job_id"],
        fence=run.ticket["fence"],
        step=chunk.step,
        nll_sum=chunk.score.nll_sum,
        byte_count=chunk.score.byte_count,
        corpus=run.ticket["corpus"],
        split="validation",
        recipe=chunk.effective_digest,
        checkpoint=chunk.checkpoint,
        environment=chunk.environment,
        scorer=chunk.score.version,
    )


class Heartbeat:
    """Keeps a job's lease in the background while the worker trains."""

    def __init__(self, remote: Remote, held: Mapping[str, Any]) -> None:
        self.remote, self.held = remote, held
        self.done = threading.Event()
        self.lost: LeaseLost | None = None
        self.thread = threading.Thread(target=self.beat, daemon=True)

    def __enter__(self) -> "Heartbeat":
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.done.set()
        self.thread.join()

    def beat(self) -> None:
        """Renew until the job is done or lost. What else goes wrong shows at the next write."""
        while not self.done.wait(HEARTBEAT_SECONDS):
            try:
                self.remote.call("heartbeat", **self.held)
            except LeaseLost as lost:
                self.lost = lost
                return
            except Refusal as refusal:
                log.warning("heartbeat_failed", code=refusal.code)

    def check(self) -> None:
        """Raise LeaseLost as soon as it is known."""
        if self.lost is not None:
            raise self.lost
