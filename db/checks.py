"""Checks: what a batch of samples must satisfy before a row is written. Pure; a refusal changes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isclose, isfinite, log
from typing import Any, Literal

from db.store import Stored
from errors import InvalidValue, Refusal, shown


class WrongDigest(Refusal):
    """Train the recipe of the ticket: what the engine ran is another one, so the label did not reach it."""

    code = "wrong_digest"
    status = 409


class InvalidBpb(Refusal):
    """Report what the scorer measured: finite, within the race's sanity interval, nll_sum / (ln 2 * byte_count)."""

    code = "invalid_bpb"
    status = 422


class InvalidStep(Refusal):
    """Report steps in rising order, after the last stored one, up to total_steps, each with a checkpoint of its own."""

    code = "invalid_step"
    status = 422


class SampleConflict(Refusal):
    """Keep what is stored: this step has another value already. If the run began again elsewhere, restart the job."""

    code = "sample_conflict"
    status = 409


class WrongEnvironment(Refusal):
    """Restart the job in this environment: equal numbers are promised within one environment only."""

    code = "wrong_environment"
    status = 409


@dataclass(frozen=True, kw_only=True)
class SampleIn:
    """A value to store: nll_sum in nats over byte_count bytes.

    quantized: what rounding to number formats did to weights, activations and gradients, or None without formats.
    """

    step: int
    bpb: float
    nll_sum: float
    byte_count: int
    quantized: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Samples of one job. `checkpoint` and `receipt` belong to the last of them.

    measured_by: who computed them, or says to have. owner: of whom the claim must be, None for the server itself.
    """

    job_id: str
    fence: int
    samples: tuple[SampleIn, ...]
    effective_digest: str
    provenance: Literal["measured", "claimed"]
    checkpoint: str | None
    environment: str | None
    receipt: str | None
    lease_seconds: float
    measured_by: str | None = None
    owner: str | None = None


@dataclass(frozen=True, kw_only=True)
class Sorted:
    """A batch sorted out: `new` follow the last stored step; `better` are measured where a claimed one is stored."""

    new: tuple[SampleIn, ...]
    better: tuple[SampleIn, ...]
    duplicates: int

    @property
    def changes(self) -> tuple[SampleIn, ...]:
        """What is written, in the order of the steps."""
        return tuple(sorted((*self.better, *self.new), key=lambda sample: sample.step))


def check_batch(batch: Batch, job: Stored, sanity: tuple[float, float]) -> None:
    """Refuse a batch that is wrong in itself: another recipe, another environment, a value that cannot be."""
    if batch.effective_digest != job.recipe_digest:
        raise WrongDigest(f"The job's recipe is {job.recipe_digest}, the engine ran {shown(batch.effective_digest)}.")
    if batch.environment and job.environment and batch.environment != job.environment:
        raise WrongEnvironment(f"The run began in {shown(job.environment)}, this is {shown(batch.environment)}.")
    if not batch.samples:
        raise InvalidValue("A batch holds at least one sample.")
    for sample in batch.samples:
        check_value(sample, sanity)


def check_value(sample: SampleIn, sanity: tuple[float, float]) -> None:
    """Refuse (InvalidBpb) a value that is not a believable number of bits per byte. The arithmetic holds to 1e-9."""
    low, high = sanity
    if not (isfinite(sample.bpb) and isfinite(sample.nll_sum)):
        raise InvalidBpb(f"Step {sample.step}: {sample.bpb} is not finite.")
    if not low <= sample.bpb <= high:
        raise InvalidBpb(f"Step {sample.step}: {sample.bpb} lies outside the race's sanity interval [{low}, {high}].")
    if sample.byte_count < 1:
        raise InvalidBpb(f"Step {sample.step}: byte_count must be at least 1, got {sample.byte_count}.")
    exact = sample.nll_sum / (log(2) * sample.byte_count)
    if not isclose(sample.bpb, exact, rel_tol=1e-9, abs_tol=0.0):
        raise InvalidBpb(f"Step {sample.step}: nll_sum / (ln 2 * byte_count) is {exact}, not {sample.bpb}.")


def sort_out(batch: Batch, last_step: int, total_steps: int, stored: Mapping[int, Stored]) -> Sorted:
    """Compare a batch with the stored samples of the same steps.

    Raises InvalidStep, and SampleConflict where a stored value differs; only a measured one may replace a claimed one.
    """
    new: dict[int, SampleIn] = {}
    better: dict[int, SampleIn] = {}
    duplicates = 0
    for sample in batch.samples:
        there = new.get(sample.step) or better.get(sample.step) or stored.get(sample.step)
        if there is None:
            check_step(sample.step, max([last_step, *new]), total_steps)
            new[sample.step] = sample
        elif batch.provenance == "measured" and getattr(there, "provenance", None) == "claimed":
            better[sample.step] = sample
        elif same_value(sample, there):
            duplicates += 1
        else:
            raise SampleConflict(f"Step {sample.step} is stored with {there.bpb}, the call has {sample.bpb}.")
    return Sorted(new=tuple(new.values()), better=tuple(better.values()), duplicates=duplicates)


def check_step(step: int, last_step: int, total_steps: int) -> None:
    """Refuse a step that does not follow the last one or lies beyond the end."""
    if not 1 <= step <= total_steps:
        raise InvalidStep(f"Step {step} is not in 1..{total_steps}.")
    if step <= last_step:
        raise InvalidStep(f"Step {step} does not follow the last stored step {last_step}.")


def same_value(sample: SampleIn, there: SampleIn | Stored) -> bool:
    """Equal in every bit that counts."""
    mine = (sample.bpb, sample.nll_sum, sample.byte_count)
    return mine == (there.bpb, there.nll_sum, there.byte_count)
