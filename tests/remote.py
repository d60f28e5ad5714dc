"""What tests of remote workers share: a small race on a corpus of its own, and a worker played by hand."""

import asyncio
import random
from dataclasses import dataclass

from db import races
from db.races import RaceSpec
from server.toolbox import call, toolbox
from tests.serving import TINY
from training import corpus
from training.corpus import Corpus, Document
from training.engine import run_chunk
from training.recipe import recipe_from

TOOLS = toolbox()
RECIPE = {**TINY, "ngram": 0, "width": 16, "context": 32}


def small_corpus(runtime, heldout="public"):
    """Digest of a corpus of a few ten thousand bytes, pinned. A private one has a text of its own."""
    pick = random.Random(heldout)
    texts = [" ".join(str(pick.randrange(10**6)) for _ in range(100)).encode() for _ in range(90)]
    documents = [Document(name=str(number), data=text) for number, text in enumerate(texts)]
    built = corpus.build("numbers", documents, validation_bytes=4096, test_bytes=4096, heldout=heldout)
    digest = corpus.save(built, runtime.artifacts)
    runtime.pin(digest, built)
    return digest


def small_race(runtime, name="cup", seeds=(1,), steps=30, chunks=3, heldout="public", recipes=(RECIPE,)):
    """A race with one rung on the small corpus, with these recipes in its queue."""
    digest = small_corpus(runtime, heldout)
    spec = RaceSpec(
        name=name, corpus=digest, corpus_name="numbers", heldout=heldout, seeds=seeds,
        rungs=((1, 1),), chunks=(chunks,), budget_bytes=steps * recipe_from(RECIPE).step_bytes, quorum=1,
    )  # fmt: skip
    with runtime.store.transaction() as session:
        race = races.create(session, spec, runtime.context().now)
    for recipe in recipes:
        use(runtime, "submit_job", race=name, recipe=recipe)
    return race


def use(runtime, tool, scopes=frozenset({"admin"}), who="worker", **arguments):
    """A tool called by somebody with these scopes."""
    return asyncio.run(call(TOOLS[tool], runtime.context(who, frozenset(scopes)), arguments))


@dataclass(kw_only=True)
class Hand:
    """A worker played by hand on the server's own artifacts: claims a job, trains chunks, reports what it likes."""

    runtime: object
    scopes: tuple = ("work",)
    race: str = "cup"
    checkpoint: str | None = None
    step: int = 0

    def __post_init__(self):
        self.ticket = self.use("claim_job", worker="hand", race=self.race)["tickets"][0]
        self.held = {"job_id": self.ticket["job_id"], "fence": self.ticket["fence"]}

    def use(self, tool, **arguments):
        return use(self.runtime, tool, self.scopes, **arguments)

    def train(self, steps=None, seed=None):
        """The next chunk, for real."""
        chunk = run_chunk(
            recipe=recipe_from(self.ticket["recipe"]),
            seed=self.ticket["seed"] if seed is None else seed,
            total_steps=self.ticket["total_steps"],
            steps=steps or self.ticket["steps"],
            corpus=Corpus.load(self.ticket["corpus"], self.runtime.artifacts),
            store=self.runtime.artifacts,
            checkpoint=self.checkpoint,
        )
        self.checkpoint, self.step = chunk.checkpoint, chunk.step
        return chunk

    def upload(self, digest):
        """Note the checkpoint as the HTTP doorway does after an upload."""
        from db import artifacts

        with self.runtime.store.transaction() as session:
            artifacts.record(session, digest, "checkpoint", self.runtime.artifacts.size(digest), self.now)

    @property
    def now(self):
        return self.runtime.context().now

    def report(self, chunk, factor=1.0, **changes):
        """Report a chunk, with its value multiplied."""
        self.upload(changes.get("checkpoint", chunk.checkpoint))
        nll, count = chunk.score.nll_sum * factor, chunk.score.byte_count
        bpb = chunk.score.bpb if factor == 1.0 else chunk.score.bpb * factor
        value = {"step": chunk.step, "bpb": bpb, "nll_sum": nll, "byte_count": count}
        usual = {
            **self.held, "samples": [value], "effective_digest": chunk.effective_digest,
            "checkpoint": chunk.checkpoint, "environment": chunk.environment,
        }  # fmt: skip
        return self.use("write_bpb", **{**usual, **changes})

    @property
    def status(self):
        return use(self.runtime, "job_status", job_id=self.held["job_id"])

    @property
    def curve(self):
        return [(one["step"], one["bpb"], one["provenance"]) for one in self.status["curve"]]
