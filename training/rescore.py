"""Rescore: load a checkpoint that came from outside and measure it on text that is held here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from training.audit import audit
from training.change import Figures
from training.checkpoint import CheckpointCorrupt, Meta, unpack
from training.engine import CheckpointMismatch
from training.environment import environment
from training.recipe import recipe_from
from training.run import resumed
from training.scorer import Score


@dataclass(frozen=True, kw_only=True)
class Rescored:
    """A score taken here. environment: digest of where. same_environment: whether the checkpoint was made in it.

    quantized: place -> what rounding to its format does, as far as a checkpoint shows it; see `training.audit`.
    """

    score: Score
    environment: str
    same_environment: bool
    quantized: Mapping[str, Figures]


def rescore(
    data: bytes,
    text: bytes,
    *,
    documents: Sequence[int],
    recipe_digest: str,
    seed: int,
    total_steps: int,
    step: int,
    threads: int = 1,
) -> Rescored:
    """Measure the checkpoint of this step of this run on the text, exactly as a chunk that ends there would.

    documents: lengths of the documents that the text consists of. In the environment of the checkpoint the score is
    that chunk's to the last bit. Nothing is built before the checkpoint has said that it belongs to the run. Sets
    torch's thread count for the whole process.
    Raises CheckpointCorrupt, CheckpointMismatch, NotNormalised, SeesTheFuture, InvalidValue, WeightsNotInFormat,
    FormatIsIdentity.
    """
    torch.set_num_threads(threads)
    meta, tensors = unpack(data)
    refuse_another(meta, recipe_digest, (seed, total_steps, step))
    run = resumed(meta, tensors)
    quantized = audit(run, text)
    measured = run.measure(text, documents)
    here = environment()
    return Rescored(
        score=measured,
        environment=here.digest,
        same_environment=dict(meta.environment) == dict(here.facts),
        quantized=quantized,
    )


def refuse_another(meta: Meta, recipe_digest: str, wanted: tuple[int, int, int]) -> None:
    """Raise CheckpointMismatch for a checkpoint of another recipe, seed, length or step."""
    if not isinstance(meta.recipe, Mapping) or not isinstance(meta.environment, Mapping):
        raise CheckpointCorrupt("The checkpoint does not say what it is of.")
    found = (meta.seed, meta.total_steps, meta.step)
    if recipe_from(meta.recipe).digest != recipe_digest or found != wanted:
        raise CheckpointMismatch("The checkpoint is of another recipe, seed, number of steps or step.")
