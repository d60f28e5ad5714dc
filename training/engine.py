"""The engine: train one chunk of a run, keep its checkpoint, and have it scored."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from errors import InvalidValue, Refusal
from training.artifacts import Artifacts
from training.checkpoint import unpack
from training.corpus import Corpus
from training.documents import starts_of
from training.environment import Environment, EnvironmentChanged, environment
from training.memory_pool import keep_freed_memory
from training.recipe import Recipe, Scalar
from training.run import Run, resumed
from training.scorer import NotNormalised, Score
from training.windows import as_tensor

__all__ = ["CheckpointMismatch", "Chunk", "EnvironmentChanged", "Residents", "run_chunk"]

OnStep = Callable[[int, float], None]
"""Called after each optimizer step with (steps done, training loss in bits per byte). What it raises ends the chunk."""


class CheckpointMismatch(Refusal):
    """Name the checkpoint that the last chunk of this very run gave, or none to start at step 0."""

    code = "checkpoint_mismatch"
    status = 409


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """What a chunk gave.

    start_step..step of total_steps were done. checkpoint and score are None exactly where divergence says what went
    wrong; then nothing was stored. effective_recipe is read back from what was built. train_bits: mean training loss
    in bits per byte. environment: its digest. bytes_per_second counts training alone, not scoring or storing.
    auxiliary: figures of the auxiliary loss at the last step that took it.
    """

    start_step: int
    step: int
    total_steps: int
    checkpoint: str | None
    score: Score | None
    effective_recipe: Mapping[str, Scalar]
    effective_digest: str
    environment: str
    divergence: str | None
    train_bits: float
    train_seconds: float
    score_seconds: float
    bytes_per_second: float
    auxiliary: Mapping[str, float]


class Residents:
    """The most recently used live runs, by the digest of the checkpoint they stand at, so that no reload is needed.

    A run is taken out while it trains: a chunk that fails half-way leaves nothing behind but the stored checkpoint.
    """

    def __init__(self, capacity: int = 8) -> None:
        self.capacity = capacity
        self.runs: OrderedDict[str, tuple[Run, str]] = OrderedDict()

    def take(self, checkpoint: str, environment: Environment) -> Run | None:
        """The live run at that checkpoint, if it is here and was trained in this environment."""
        run, digest = self.runs.pop(checkpoint, (None, ""))
        return run if digest == environment.digest else None

    def put(self, checkpoint: str, environment: Environment, run: Run) -> None:
        """Keep a run, and drop the ones not used for longest."""
        self.runs[checkpoint] = (run, environment.digest)
        while len(self.runs) > self.capacity:
            self.runs.popitem(last=False)


def run_chunk(
    *,
    recipe: Recipe,
    seed: int,
    total_steps: int,
    steps: int,
    corpus: Corpus,
    store: Artifacts,
    checkpoint: str | None = None,
    start_step: int | None = None,
    residents: Residents | None = None,
    threads: int = 1,
    split: str = "validation",
    on_step: OnStep | None = None,
) -> Chunk:
    """Train up to `steps` optimizer steps from `checkpoint` (None: from step 0), store a checkpoint, score `split`.

    start_step: where the caller takes the checkpoint to be; another one is refused. None: wherever it is.
    Equal arguments give equal bits within one environment, wherever the chunks are cut. Sets torch's thread count
    and the allocator's thresholds for the whole process.
    Raises ArtifactMissing, CheckpointCorrupt, CheckpointMismatch, EnvironmentChanged, InvalidValue, TextTooShort.
    Divergence is a result, not an error.
    """
    torch.set_num_threads(threads)
    keep_freed_memory()
    here = environment()
    run = opened(recipe, seed, total_steps, checkpoint, store, residents, here)
    if start_step not in (None, run.step):
        raise CheckpointMismatch(f"The run is at step {run.step}, not at {start_step}.")
    if not 0 < steps <= total_steps - run.step:
        raise InvalidValue(f"steps must lie in [1, {total_steps - run.step}], got {steps}.")
    start_step, began = run.step, time.perf_counter()
    text_S, starts_N = as_tensor(corpus.split("train")), starts_of(corpus.lengths("train"))
    bits, divergence = trained(run, text_S, steps, on_step, starts_N)
    train_seconds, began = time.perf_counter() - began, time.perf_counter()
    measured, divergence = (None, divergence) if divergence else scored(run, corpus.split(split), corpus.lengths(split))
    score_seconds = time.perf_counter() - began
    effective = run.effective()
    return Chunk(
        start_step=start_step,
        step=run.step,
        total_steps=total_steps,
        checkpoint=None if divergence else stored(run, here, store, residents),
        score=measured,
        effective_recipe=effective.as_json(),
        effective_digest=effective.digest,
        environment=here.digest,
        divergence=divergence,
        train_bits=bits,
        train_seconds=train_seconds,
        score_seconds=score_seconds,
        bytes_per_second=(run.step - start_step) * recipe.step_bytes / train_seconds,
        auxiliary=run.told,
    )


def opened(
    recipe: Recipe,
    seed: int,
    total_steps: int,
    checkpoint: str | None,
    store: Artifacts,
    residents: Residents | None,
    here: Environment,
) -> Run:
    """The run to go on with: new, resident, or loaded."""
    if checkpoint is None:
        return Run(recipe, seed, total_steps)
    run = residents.take(checkpoint, here) if residents is not None else None
    run = run or loaded(store.get(checkpoint), here)
    if (run.recipe.digest, run.seed, run.total_steps) != (recipe.digest, seed, total_steps):
        raise CheckpointMismatch(
            f"The checkpoint is of recipe {run.recipe.digest[:12]}, seed {run.seed}, {run.total_steps} steps in all; "
            f"asked for {recipe.digest[:12]}, {seed}, {total_steps}."
        )
    return run


def loaded(data: bytes, here: Environment) -> Run:
    """The run in a checkpoint that was made in this environment. Raises CheckpointCorrupt, EnvironmentChanged."""
    meta, tensors = unpack(data)
    differing = sorted(
        key for key in {*meta.environment, *here.facts} if meta.environment.get(key) != here.facts.get(key)
    )
    if differing:
        raise EnvironmentChanged(f"Other than at the checkpoint: {', '.join(differing)}.")
    return resumed(meta, tensors)


def trained(
    run: Run, text_S: Tensor, steps: int, on_step: OnStep | None, starts_N: Tensor | None = None
) -> tuple[float, str | None]:
    """Do the steps -> (mean loss in bits per byte, what diverged). Stops at the first loss that is not finite."""
    total = 0.0
    for _ in range(steps):
        bits = run.train(text_S, starts_N)
        if not math.isfinite(bits):
            return math.nan, f"The training loss at step {run.step} is {bits}."
        total += bits
        if on_step is not None:
            on_step(run.step, bits)
    return total / steps, None if run.finite() else f"A weight is not finite at step {run.step}."


def scored(run: Run, text: bytes, documents: Sequence[int]) -> tuple[Score | None, str | None]:
    """The score of the run's weights on documents of these lengths -> (score, what diverged)."""
    try:
        result = run.measure(text, documents)
    except NotNormalised as refusal:  # log_softmax is normalised unless a logit is not finite
        return None, f"At step {run.step} a prediction is not finite: {refusal.message}"
    if not math.isfinite(result.bpb):
        return None, f"At step {run.step} a byte of the held-out text has probability zero."
    return result, None


def stored(run: Run, here: Environment, store: Artifacts, residents: Residents | None) -> str:
    """Store the run's checkpoint, keep the run resident, and give the digest."""
    digest = store.put(run.checkpoint(here))
    if residents is not None:
        residents.put(digest, here, run)
    return digest
