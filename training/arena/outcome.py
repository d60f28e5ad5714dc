"""What a trial found: the number, what it cost, and every check by name."""

from dataclasses import dataclass
from typing import Literal

Provenance = Literal["measured", "claimed"]
Mode = Literal["predict", "block", "log"]


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was checked; detail is our own text, never the entry's."""

    name: str
    passed: bool
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One trial of an entry with one seed. The numbers are None where it failed before they were known.

    failed: the name of the first check that failed; provenance is None then. log_tail: what the entry printed last,
    text from outside. golden_state: the hash of the tensors that this trial wrote, where it wrote any.
    """

    entry_id: str
    seed: int
    provenance: Provenance | None
    mode: Mode
    bpb: float | None = None
    nll_sum: float | None = None
    byte_count: int | None = None
    code_bytes: int | None = None
    artifact_bytes: int | None = None
    train_seconds: float | None = None
    predict_seconds: float | None = None
    checks: tuple[Check, ...] = ()
    failed: str | None = None
    log_tail: str = ""
    golden_state: str | None = None


def provenance_of(mode: Mode, private: bool) -> Provenance:
    """Measured only where the entry committed before each byte of a text that nobody outside can hold."""
    return "measured" if mode == "predict" and private else "claimed"
