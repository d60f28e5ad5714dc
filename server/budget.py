"""Budget of a race: `3m` (time on this machine) or `4MB` (text that a run at the top rung trains on). Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

from errors import InvalidValue, shown

SECONDS = {"s": 1, "m": 60, "h": 3600}
BYTES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}

RESERVE = 0.85
"""Share of the time that is planned with; the rest is for start, uneven ends and noise."""


@dataclass(frozen=True, kw_only=True)
class Speed:
    """What one engine does, measured here.

    train, slowest: bytes a second of the mean recipe and of the slowest. score: bytes a second. chunk_overhead: seconds
    that a chunk costs beside.
    """

    train: float
    slowest: float
    score: float
    chunk_overhead: float


@dataclass(frozen=True, kw_only=True)
class Course:
    """The shape of a race: recipes and seeds, one in eta promoted, the rungs' shares of the budget and their chunks."""

    recipes: int
    seeds: int
    eta: int
    rungs: Sequence[tuple[int, int]]
    chunks: Sequence[int]

    def rounds(self, engines: int) -> list[int]:
        """How many jobs an engine does one after the other at each rung; the last round may leave engines idle."""
        survivors = (max(1, self.recipes // self.eta**rung) for rung in range(len(self.rungs)))
        return [ceil(count * self.seeds / engines) for count in survivors]


def parse(text: str) -> tuple[str, float]:
    """("seconds", s) or ("bytes", n) of a budget such as `90s`, `3m`, `1h`, `500kB`, `4MB`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)", text.strip())
    number, unit = (float(match[1]), match[2]) if match else (0.0, "")
    if number > 0 and unit in SECONDS:
        return "seconds", number * SECONDS[unit]
    if number > 0 and unit in BYTES:
        return "bytes", number * BYTES[unit]
    raise InvalidValue(f"A budget is a time such as 3m or an amount of text such as 4MB, got {shown(text)}.")


def fitted(
    seconds: float, course: Course, speed: Speed, engines: int, validation_bytes: int
) -> tuple[int, tuple[int, ...]]:
    """The top rung's budget and how often runs report at each rung, so that the whole race ends within `seconds`.

    Every report scores the whole validation split. Where that would take more than half of the planned time, runs
    report half as often. Raises InvalidValue where the scoring alone takes longer even so.
    """
    thin = replace(course, chunks=tuple((count + 1) // 2 for count in course.chunks))
    is_dear = measuring(course, speed, engines, validation_bytes) > seconds * RESERVE / 2
    if is_dear and thin != course:
        return fitted(seconds, thin, speed, engines, validation_bytes)
    return bytes_for(seconds, course, speed, engines, validation_bytes), tuple(course.chunks)


def measuring(course: Course, speed: Speed, engines: int, validation_bytes: int) -> float:
    """Seconds of a race that scoring takes, and all else that comes with a report."""
    report = validation_bytes / speed.score + speed.chunk_overhead
    return report * sum(count * chunks for count, chunks in zip(course.rounds(engines), course.chunks, strict=True))


def bytes_for(seconds: float, course: Course, speed: Speed, engines: int, validation_bytes: int) -> int:
    """The top rung's budget that lets the whole race end within `seconds`, cut to two digits so that it can be told.

    Anybody may be promoted, so the rungs above the first are planned with the slowest recipe. Raises InvalidValue where
    the scoring alone takes longer.
    """
    rounds = course.rounds(engines)
    rates = [speed.train] + [speed.slowest] * (len(rounds) - 1)
    shares = [numerator / denominator for numerator, denominator in course.rungs]
    each_byte = sum(count * share / rate for count, share, rate in zip(rounds, shares, rates, strict=True))
    scoring = measuring(course, speed, engines, validation_bytes)
    budget = (seconds * RESERVE - scoring) / each_byte
    if budget < 10_000:
        raise InvalidValue(f"{seconds:.0f} s are too short for this race: scoring alone takes {scoring:.0f} s.")
    digits = 10 ** (len(str(int(budget))) - 2)
    return int(budget // digits * digits)
