"""Training logs of parameter-golf entries: what they claim, what they leave out and where they contradict themselves.

Nothing in a log is measured: whoever ran the script wrote it. All numbers from here are claimed and rank nowhere.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType
from typing import Any

from training.arena.outcome import Provenance

LONGEST_LINE = 2000
"""Characters of a line that are looked at; a line of numbers has a few hundred at most."""

SOURCE_ENDS = "=" * 100
"""A log begins with the script itself, up to a line of these."""

BYTES_PER_TOKEN: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"caseops": (3.16, 3.22), "sp1024": (2.43, 2.44), "sp4096": (3.31, 3.33), "sp8192": (3.72, 3.74), "byte260": (1, 1)}
)
"""Bytes a token on FineWeb's validation set, lowest and highest sound count; the first name that fits a log counts."""

SLACK = 0.02
"""Share of bytes that a count may be off before it contradicts; the known defects are off by 4 to 20 per cent."""

DRIFT = 0.005
"""Share by which two counts in one log may differ: some score a part of the set only."""

NUMBER = r"(-?\d{1,18}(?:\.\d{1,18})?(?:e[+-]?\d{1,3})?|nan|-?inf)"
STEP = re.compile(r"^(?:step:)?\s*(\d{1,12})/(\d{1,12})\s")
SCORE = re.compile(rf"^(?P<name>[\w+. -]{{1,80}}?)\s+val_loss:\s*{NUMBER}\s+val_bpb:\s*{NUMBER}", re.I)
VALUES = {name: re.compile(rf"\b{name}:\s*{NUMBER}", re.I) for name in ("train_loss", "val_loss", "val_bpb")}
TIME = re.compile(rf"\b(train_time|eval_time|total_eval_time):\s*{NUMBER}(ms|s|m)\b", re.I)
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0}
FACTS = {
    "seed": re.compile(r"^seed:\s*(\d{1,18})\b"),
    "tokens": re.compile(r"\b(?:val_tokens:|target_tokens:|val_loader:.*tokens:)\s*(\d[\d,]{0,23})"),
    "parameters": re.compile(r"^model_params:\s*(\d[\d,]{0,23})"),
    "bytes_code": re.compile(r"^Code size:\s*(\d[\d,]{0,23})"),
    "bytes_total": re.compile(r"^Total submission size(?!:)[^:]{0,60}:\s*(\d[\d,]{0,23})"),
    "bytes_model": re.compile(r"^Serialized model (?!:)[^:]{1,60}:\s*(\d[\d,]{0,23})"),
}
WANTED = ("val_loss", "val_bpb", "seed", "tokens", "train_seconds", "bytes_total")
"""What a log of an entry should tell."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """What was printed at a step. seconds: of training so far."""

    step: int
    train_loss: float | None = None
    val_loss: float | None = None
    val_bpb: float | None = None
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Score:
    """A line that gives a loss in nats a token and bits per byte. digits: of the number with fewer decimals."""

    name: str
    val_loss: float
    val_bpb: float
    digits: int

    @property
    def bytes_per_token(self) -> float:
        """Bytes a token that must have been counted for both numbers to be true."""
        return self.val_loss / math.log(2) / self.val_bpb

    @property
    def spread(self) -> float:
        """How far rounding may have moved `bytes_per_token`, as a share."""
        half = 0.5 * 10.0**-self.digits
        return half / self.val_loss + half / self.val_bpb


@dataclass(frozen=True, kw_only=True)
class Log:
    """What a log claims. score: the line that its result comes from; implied_bytes: loss / ln 2 x tokens / bpb."""

    provenance: Provenance = "claimed"
    score: str | None = None
    val_loss: float | None = None
    val_bpb: float | None = None
    seed: int | None = None
    tokens: int | None = None
    parameters: int | None = None
    steps: int | None = None
    train_seconds: float | None = None
    eval_seconds: float | None = None
    bytes_code: int | None = None
    bytes_model: int | None = None
    bytes_total: int | None = None
    tokenizer: str | None = None
    bytes_per_token: float | None = None
    implied_bytes: float | None = None
    points: tuple[Point, ...] = field(default=(), repr=False)
    scores: tuple[Score, ...] = field(default=(), repr=False)
    missing: tuple[str, ...] = ()
    contradictions: tuple[str, ...] = ()


def read_log(data: bytes) -> Log:
    """What a log claims. Never refuses: of bytes that are no log everything is missing. Pure."""
    lines = lines_of(data)
    points = [point for line in lines if (point := point_of(line)) is not None]
    scores = [score for line in lines if (score := score_of(line)) is not None]
    final = next((one for one in reversed(scores) if not one.name.lower().startswith("diagnostic")), None)
    facts = facts_of(lines)
    counted = [*last_validation(points), *scores]
    times = times_of(lines)
    tokenizer = tokenizer_of(lines)
    found = {
        "val_loss": final.val_loss if final else None,
        "val_bpb": final.val_bpb if final else None,
        "train_seconds": times.get("train_time"),
        **facts,
    }
    tokens = facts.get("tokens")
    return Log(
        score=final.name if final else None,
        val_loss=final.val_loss if final else None,
        val_bpb=final.val_bpb if final else None,
        **facts,
        steps=max((point.step for point in points), default=None),
        train_seconds=times.get("train_time"),
        eval_seconds=times.get("total_eval_time", times.get("eval_time")),
        tokenizer=tokenizer,
        bytes_per_token=final.bytes_per_token if final else None,
        implied_bytes=final.bytes_per_token * tokens if final and tokens else None,
        points=tuple(points),
        scores=tuple(scores),
        missing=tuple(name for name in WANTED if found.get(name) is None),
        contradictions=(*points_against(points), *scores_against(counted, tokenizer), *sizes_against(facts)),
    )


def lines_of(data: bytes) -> list[str]:
    """The lines after the script's own source."""
    lines = [line[:LONGEST_LINE].strip() for line in data.decode("utf-8", "replace").split("\n")]
    start = max((at for at, line in enumerate(lines) if line == SOURCE_ENDS), default=-1)
    return lines[start + 1 :]


def point_of(line: str) -> Point | None:
    """The numbers of a line about a step."""
    if (found := STEP.match(line)) is None:
        return None
    values = {name: number(match[1]) for name, form in VALUES.items() if (match := form.search(line))}
    return Point(step=int(found[1]), seconds=times_of([line]).get("train_time"), **values)


def score_of(line: str) -> Score | None:
    """The numbers of a line that gives a score of the whole validation set."""
    if (found := SCORE.match(line)) is None or STEP.match(line):
        return None
    loss, bpb = number(found[2]), number(found[3])
    if loss is None or bpb is None or min(loss, bpb) < 1e-6 or max(loss, bpb) > 1e6:
        return None
    digits = min(len(text.partition(".")[2].partition("e")[0]) for text in (found[2], found[3]))
    return Score(name=found["name"].strip(), val_loss=loss, val_bpb=bpb, digits=digits)


def last_validation(points: Sequence[Point]) -> list[Score]:
    """The last validation of the curve as a score, where there is one."""
    whole = [one for one in points if one.val_loss is not None and one.val_bpb is not None]
    line = f"step {whole[-1].step} val_loss:{whole[-1].val_loss} val_bpb:{whole[-1].val_bpb}" if whole else ""
    return [] if (score := score_of(line)) is None else [score]


def number(text: str) -> float | None:
    """A finite number, or None."""
    value = float(text)
    return value if math.isfinite(value) else None


def facts_of(lines: Iterable[str]) -> dict[str, Any]:
    """Counts that stand in lines of their own; the last one of each counts."""
    matches = ((name, match) for line in lines for name, form in FACTS.items() if (match := form.search(line)))
    return {name: int(match[1].replace(",", "")) for name, match in matches}


def times_of(lines: Iterable[str]) -> dict[str, float]:
    """The last of each kind of time, in seconds."""
    matches = (match for line in lines for match in TIME.finditer(line))
    return {match[1].lower(): value * UNITS[match[3].lower()] for match in matches if (value := number(match[2]))}


def tokenizer_of(lines: Iterable[str]) -> str | None:
    """The first known tokenizer that a line about data names."""
    told = " ".join(line.lower() for line in lines if re.match(r"(?:train_loader|val_loader|val_bpb:|data)", line))
    return next((name for name in BYTES_PER_TOKEN if name in told), None)


def points_against(points: Sequence[Point]) -> list[str]:
    """What the curve contradicts in itself."""
    times = [point.seconds for point in points if point.seconds is not None]
    steps = [point.step for point in points]
    found = []
    if any(later < earlier for earlier, later in pairwise(times)):
        found.append("The time of training goes back.")
    if any(later < earlier for earlier, later in pairwise(steps)):
        found.append("The steps go back.")
    return found


def scores_against(scores: Sequence[Score], tokenizer: str | None) -> list[str]:
    """Where bytes a token differ between two scores, or from what the tokenizer's are."""
    found = []
    for one, other in pairwise(scores):
        away = abs(one.bytes_per_token / other.bytes_per_token - 1)
        if away > DRIFT + one.spread + other.spread:
            found.append(
                f"{one.name} counts {one.bytes_per_token:.4f} bytes a token, {other.name} {other.bytes_per_token:.4f}."
            )
    if scores and tokenizer is not None:
        low, high = BYTES_PER_TOKEN[tokenizer]
        last = scores[-1]
        if not low * (1 - SLACK) - last.spread <= last.bytes_per_token <= high * (1 + SLACK) + last.spread:
            found.append(f"{last.name} counts {last.bytes_per_token:.4f} bytes a token; {tokenizer} has {high:.2f}.")
    return found


def sizes_against(facts: Mapping[str, int]) -> list[str]:
    """Where the total is not the model and the code."""
    model, code, total = (facts.get(name) for name in ("bytes_model", "bytes_code", "bytes_total"))
    if model is None or code is None or total is None or model + code == total:
        return []
    return [f"{model} bytes of model and {code} of code are not {total}."]
