"""`submission.json` of parameter-golf entries, which never had a schema: what it claims, under the names in use."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from types import MappingProxyType
from typing import Any

from training.arena.logs import Log
from training.arena.outcome import Provenance

LARGEST_ARTIFACT = 16_000_000
NUMBERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "val_bpb": ("val_bpb", "mean_val_bpb", "val_bpb_mean", "final_val_bpb", "bpb"),
        "val_loss": ("val_loss", "mean_val_loss", "val_loss_mean", "final_val_loss", "val_loss_nats"),
        "val_bpb_std": ("val_bpb_std", "std_val_bpb", "val_bpb_sd"),
        "bytes_total": ("bytes_total", "artifact_bytes", "total_bytes", "submission_bytes", "bytes_total_max"),
        "bytes_code": ("bytes_code", "code_bytes"),
        "train_seconds": ("wallclock_seconds", "train_seconds", "train_time_seconds"),
    }
)
TEXTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "author": ("author", "authors"),
        "github_id": ("github_id", "github", "author_github"),
        "name": ("name", "title"),
        "date": ("date", "submitted_at"),
        "track": ("track",),
        "hardware": ("hardware", "gpu"),
    }
)
"""What we call it -> what it is called there, best name first."""

SEED_RESULTS = ("seed_results", "per_seed", "seeds", "results")
WANTED = ("author", "name", "date", "val_bpb", "val_loss", "bytes_total", "bytes_code")
ROUNDING = 1e-3
"""Bits per byte by which a mean may differ from that of the seeds: many files round to three decimals."""


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What a submission claims. seeds: value of each seed, by its number, where they are told one by one."""

    provenance: Provenance = "claimed"
    author: str | None = None
    github_id: str | None = None
    name: str | None = None
    date: str | None = None
    track: str | None = None
    hardware: str | None = None
    val_bpb: float | None = None
    val_loss: float | None = None
    val_bpb_std: float | None = None
    bytes_total: float | None = None
    bytes_code: float | None = None
    train_seconds: float | None = None
    seeds: Mapping[int, float]
    missing: tuple[str, ...] = ()
    contradictions: tuple[str, ...] = ()


def read_submission(data: bytes) -> Submission:
    """What a submission claims. Never refuses: of bytes that are no JSON object everything is missing. Pure."""
    try:
        read = json.loads(data)
    except (ValueError, RecursionError):
        read = None
    given: Mapping[str, Any] = read if isinstance(read, dict) else {}
    numbers = {name: first(given, names, number) for name, names in NUMBERS.items()}
    texts = {name: first(given, names, text) for name, names in TEXTS.items()}
    seeds = seeds_of(given)
    found = {**numbers, **texts}
    return Submission(
        **found,
        seeds=seeds,
        missing=tuple(name for name in WANTED if found[name] is None),
        contradictions=tuple(against(numbers, seeds)),
    )


def first(given: Mapping[str, Any], names: Sequence[str], read: Any) -> Any:
    """The first value under these names that can be read."""
    values = (read(given[name]) for name in names if name in given)
    return next((value for value in values if value is not None), None)


def number(value: object) -> float | None:
    """A finite number above zero, also where it stands as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        read = float(value.replace(",", "") if isinstance(value, str) else value)
    except (ValueError, OverflowError):
        return None
    return read if math.isfinite(read) and read > 0 else None


def text(value: object) -> str | None:
    """A short text."""
    return value[:500] if isinstance(value, str) and value.strip() else None


def seeds_of(given: Mapping[str, Any]) -> dict[int, float]:
    """Seed -> bits per byte, from an object by seed or a list of objects that name theirs."""
    for name in SEED_RESULTS:
        rows = given.get(name)
        if isinstance(rows, dict):
            found = {key: bpb_of(row) for key, row in rows.items()}
        elif isinstance(rows, list):
            found = {str(row.get("seed")): bpb_of(row) for row in rows if isinstance(row, dict)}
        else:
            continue
        sound = {seed: bpb for key, bpb in found.items() if (seed := seed_of(key)) is not None and bpb is not None}
        if sound:
            return sound
    return {}


def bpb_of(row: object) -> float | None:
    """Bits per byte of one seed: a number alone, or an object."""
    return first(row, NUMBERS["val_bpb"], number) if isinstance(row, dict) else number(row)


def seed_of(key: str) -> int | None:
    """The number in a key such as `42` or `seed_42`."""
    digits = key.lower().removeprefix("seed").lstrip("_- ")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 19 else None


def against(numbers: Mapping[str, float | None], seeds: Mapping[int, float]) -> list[str]:
    """What a submission contradicts in itself."""
    found = []
    bpb, total, code = numbers["val_bpb"], numbers["bytes_total"], numbers["bytes_code"]
    if total is not None and total > LARGEST_ARTIFACT:
        found.append(f"{total:.0f} bytes are more than the {LARGEST_ARTIFACT} of the track.")
    if total is not None and code is not None and code > total:
        found.append(f"{code:.0f} bytes of code are more than {total:.0f} in all.")
    if bpb is not None and seeds and abs(fmean(seeds.values()) - bpb) > ROUNDING:
        found.append(f"The seeds have a mean of {fmean(seeds.values()):.5f}, the submission says {bpb:.5f}.")
    return found


def disagreements(submission: Submission, logs: Sequence[Log]) -> list[str]:
    """Where a submission claims something else than its logs do."""
    values = [log.val_bpb for log in logs if log.val_bpb is not None]
    found = []
    if values and submission.val_bpb is not None and abs(fmean(values) - submission.val_bpb) > ROUNDING:
        found.append(f"The logs have a mean of {fmean(values):.5f}, the submission says {submission.val_bpb:.5f}.")
    for log in logs:
        told = submission.seeds.get(log.seed) if log.seed is not None else None
        if told is not None and log.val_bpb is not None and abs(told - log.val_bpb) > ROUNDING:
            found.append(f"Seed {log.seed} has {log.val_bpb:.5f} in its log and {told:.5f} in the submission.")
    return found
