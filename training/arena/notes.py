"""A trial as it goes: what it is given, and what is known so far."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.arena.entry import Entry
from training.arena.limits import Limits
from training.arena.outcome import Check, Mode


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What a trial is given; see `trial.run_trial`. secret: random, never told to the entry."""

    entry: Entry
    seed: int
    train_text: bytes
    heldout: Sequence[bytes]
    private: bool
    limits: Limits
    python: str
    work: Path
    secret: int


@dataclass(kw_only=True)
class Notes:
    """What is known so far; the one thing in a trial that changes. found: fields of the outcome."""

    checks: list[Check] = field(default_factory=list)
    found: dict[str, Any] = field(default_factory=dict)
    mode: Mode = "predict"
    log: str = ""

    def passed(self, *names: str, detail: str = "") -> None:
        """These checks are through."""
        self.checks.extend(Check(name=name, passed=True, detail=detail) for name in names)
