"""Budget of a race: `3m` (time on this machine) or `4MB` (text that a run at the top rung trains on). Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from errors import InvalidValue, shown

SECONDS = {"s": 1, "m": 60, "h": 3600}
BYTES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}

RESERVE = 0.85
"""Share of the time that is planned with; the rest is for start, uneven ends and noise."""


@dataclass(frozen=True, kw_only=True)
class Speed:
    """What one engine does in a second, measured here."""

    train: float
    score: float
    chunk_overhead: float


@dataclass(frozen=True, kw_only=True)
class Course:
    """The shape of a race: how much is trained and scored for a budget of one byte at the top rung."""

    recipes: int
    seeds: int
    eta: int
    rungs: Sequence[tuple[int, int]]
    chunks: Sequence[int]

    @property
    def survivors(self) -> list[int]:
        """Recipes that run at each rung when one in eta is promoted, at least one."""
        return [max(1, self.recipes // self.eta**rung) for rung in range(len(self.rungs))]

    @property
    def trained(self) -> float:
        """Bytes trained in all for each byte of the top rung's budget."""
        shares = (numerator / denominator for numerator, denominator in self.rungs)
        return self.seeds * sum(count * share for count, share in zip(self.survivors, shares, strict=True))

    @property
    def scorings(self) -> int:
        """Times that the validation split is scored."""
        return self.seeds * sum(count * chunks for count, chunks in zip(self.survivors, self.chunks, strict=True))


def parse(text: str) -> tuple[str, float]:
    """("seconds", s) or ("bytes", n) of a budget such as `90s`, `3m`, `1h`, `500kB`, `4MB`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)", text.strip())
    number, unit = (float(match[1]), match[2]) if match else (0.0, "")
    if number > 0 and unit in SECONDS:
        return "seconds", number * SECONDS[unit]
    if number > 0 and unit in BYTES:
        return "bytes", number * BYTES[unit]
    raise InvalidValue(f"A budget is a time such as 3m or an amount of text such as 4MB, got {shown(text)}.")


def bytes_for(seconds: float, course: Course, speed: Speed, engines: int, validation_bytes: int) -> int:
    """The top rung's budget that lets the whole race end within `seconds`, cut to two digits so that it can be told.

    Raises InvalidValue where the scoring alone takes longer.
    """
    measuring = course.scorings * (validation_bytes / speed.score + speed.chunk_overhead)
    training = seconds * RESERVE * engines - measuring
    budget = training * speed.train / course.trained
    if budget < 10_000:
        raise InvalidValue(
            f"{seconds:g} s are too short for this race: scoring alone takes {measuring / engines:.0f} s."
        )
    digits = 10 ** (len(str(int(budget))) - 2)
    return int(budget // digits * digits)
