"""The whole loop of test-time training: train, score plainly, score with adaptation, over the race's seeds."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Literal

import torch

from errors import ImpossibleCombination, InvalidValue
from training.corpus import Corpus
from training.documents import starts_of
from training.engine import trained
from training.memory_pool import keep_freed_memory
from training.recipe import NONE, Recipe
from training.run import Run
from training.scorer import score
from training.scorer.windows import OVERLAP
from training.windows import as_tensor

SEEDS = (1597, 2584, 4181)
"""F17, F18 and F19: the seeds of a race."""

FLOOR = 0.1
"""Bits per byte at or below which a value is no measurement but a mistake."""

Each = Literal["each seed", "mean"]


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """A bound that bits per byte must lie strictly below, by each seed or by their mean."""

    name: str
    bound: float
    by: Each


LEGACY = (
    Threshold(name="G1", bound=2.5, by="each seed"),
    Threshold(name="G2", bound=1.85, by="each seed"),
    Threshold(name="G3", bound=1.5, by="each seed"),
    Threshold(name="WIN", bound=1.07063, by="mean"),
)
"""The set that came with FineWeb. On another text a bound is only a bound, and nowhere is one that is met a record."""


@dataclass(frozen=True, kw_only=True)
class SeedScore:
    """Bits per byte of one seed's checkpoint on the same bytes.

    bpb: with test-time training. plain: the plain score. still: in the windows of test-time training, not adapting.
    """

    seed: int
    steps: int
    train_bits: float
    plain: float
    still: float
    bpb: float

    @property
    def gain(self) -> float:
        """Bits per byte that test-time training saves against the plain score; below zero where it costs."""
        return self.plain - self.bpb


@dataclass(frozen=True, kw_only=True)
class VictoryReport:
    """What the seeds gave, and which thresholds that meets."""

    recipe: str
    corpus: str
    split: str
    byte_count: int
    seeds: tuple[SeedScore, ...]
    thresholds: tuple[Threshold, ...] = LEGACY

    @property
    def mean(self) -> float:
        """Mean bits per byte with test-time training."""
        return mean(each.bpb for each in self.seeds)

    @property
    def sd(self) -> float:
        """Standard deviation over the seeds; not a number with one."""
        return stdev(each.bpb for each in self.seeds) if len(self.seeds) > 1 else math.nan

    @property
    def gain(self) -> float:
        """Mean gain over the plain score of the same checkpoints."""
        return mean(each.gain for each in self.seeds)

    @property
    def met(self) -> dict[str, bool]:
        """Threshold -> whether it is met. Nothing is met by values that are unsound."""
        values = [each.bpb for each in self.seeds]
        sound = all(math.isfinite(value) and value > FLOOR for value in values)
        return {
            each.name: sound and (max(values) if each.by == "each seed" else self.mean) < each.bound
            for each in self.thresholds
        }

    @property
    def text(self) -> str:
        """The report for people."""
        rows = [
            f"seed {each.seed:>6}  plain {each.plain:.4f}  still {each.still:.4f}  ttt {each.bpb:.4f}  "
            f"gain {each.gain:+.4f}"
            for each in self.seeds
        ]
        bounds = [
            f"{each.name}: {each.by} < {each.bound:g}: {'met' if self.met[each.name] else 'not met'}"
            for each in self.thresholds
        ]
        head = f"recipe {self.recipe[:12]} on {self.byte_count} bytes of {self.split} of corpus {self.corpus[:12]}"
        spread = (
            f"mean {self.mean:.4f}, sd {self.sd:.4f}, n {len(self.seeds)}, mean gain {self.gain:+.4f} bits per byte"
        )
        return "\n".join([head, *rows, spread, *bounds])


def run_e2e_ttt(
    corpus: Corpus,
    recipe: Recipe,
    *,
    budget_bytes: int,
    seeds: Sequence[int] = SEEDS,
    split: str = "validation",
    thresholds: Sequence[Threshold] = LEGACY,
    threads: int = 1,
    on_seed: Callable[[SeedScore], None] = lambda each: None,
) -> VictoryReport:
    """Train the recipe with each seed, score the split plainly and with its test-time training, and report.

    Sets torch's thread count for the whole process. Raises ImpossibleCombination (a recipe without test-time training),
    InvalidValue (no seeds, one twice, or a run that diverged), NotNormalised, SeesTheFuture, TextTooShort.
    """
    refuse_early(recipe, seeds)
    torch.set_num_threads(threads)
    keep_freed_memory()
    found = []
    for seed in seeds:
        found.append(one_seed(corpus, recipe, seed, budget_bytes, split))
        on_seed(found[-1])
    return VictoryReport(
        recipe=recipe.digest, corpus=corpus.digest, split=split, byte_count=len(corpus.split(split)),
        seeds=tuple(found), thresholds=tuple(thresholds),
    )  # fmt: skip


def refuse_early(recipe: Recipe, seeds: Sequence[int]) -> None:
    """Raise ImpossibleCombination or InvalidValue for what cannot be run."""
    if recipe.ttt == NONE:
        raise ImpossibleCombination("A recipe with ttt none has nothing to compare with its plain score.")
    if not seeds or len(set(seeds)) < len(seeds):
        raise InvalidValue(f"Seeds are distinct and at least one, got {list(seeds)}.")


def one_seed(corpus: Corpus, recipe: Recipe, seed: int, budget_bytes: int, split: str) -> SeedScore:
    """Train one seed and score its checkpoint in three ways."""
    steps = recipe.steps(budget_bytes)
    run = Run(recipe, seed, steps)
    train_S, starts_N = as_tensor(corpus.split("train")), starts_of(corpus.lengths("train"))
    bits, divergence = trained(run, train_S, steps, None, starts_N)
    if divergence:
        raise InvalidValue(f"Seed {seed} diverged: {divergence}")
    text, lengths = corpus.split(split), corpus.lengths(split)
    assert run.adaptation is not None
    window = OVERLAP + int(run.adaptation.options["stride"])
    with run.optimizer.evaluation_weights():
        plain = score(run.predict, text, probe_seed=seed)
        still = score(run.predict, text, probe_seed=seed, window=window, overlap=OVERLAP, documents=lengths)
    return SeedScore(
        seed=seed, steps=steps, train_bits=bits, plain=plain.bpb, still=still.bpb, bpb=run.measure(text, lengths).bpb
    )
