"""Ranges of bytes: the headers by which a transfer goes on where it stopped. Pure (RFC 9110, 14.1 to 14.4)."""

import re
from dataclasses import dataclass

from errors import InvalidValue, Refusal, shown


class RangeNotSatisfiable(Refusal):
    """Ask for bytes that the artifact has; HEAD tells how many there are."""

    code = "range_not_satisfiable"
    status = 416


@dataclass(frozen=True, kw_only=True)
class Part:
    """The bytes start..stop of a file of `total` bytes; stop is not part of it."""

    start: int
    stop: int
    total: int

    @property
    def header(self) -> str:
        """The value of Content-Range."""
        return f"bytes {self.start}-{self.stop - 1}/{self.total}"


def wanted(header: str | None, total: int) -> Part | None:
    """What a Range header asks for. None: the whole file, also for several ranges or another unit, as RFC 9110 allows.

    Raises RangeNotSatisfiable for a range that has no byte of the file.
    """
    match = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", (header or "").replace(" ", ""))
    if match is None or match[1] == match[2] == "" or (match[1] and match[2] and int(match[1]) > int(match[2])):
        return None
    if match[1]:
        start, stop = int(match[1]), min(int(match[2] or total) + 1, total)
    else:
        start, stop = max(0, total - int(match[2])), total
    if start >= stop:
        raise RangeNotSatisfiable(f"The artifact has {total} bytes.")
    return Part(start=start, stop=stop, total=total)


def given(content_range: str | None, content_length: str | None) -> Part | None:
    """The part of a file that an upload brings: from Content-Range, else all of it. None: no length was told.

    Raises InvalidValue for a header that cannot be, or one that contradicts the length of the body.
    """
    length = int(content_length) if content_length and re.fullmatch(r"\d{1,18}", content_length) else None
    if content_range is None:
        return None if length is None else Part(start=0, stop=length, total=length)
    match = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", content_range.strip())
    if match is None:
        raise InvalidValue(f"Content-Range has the form bytes FIRST-LAST/TOTAL, got {shown(content_range)}.")
    part = Part(start=int(match[1]), stop=int(match[2]) + 1, total=int(match[3]))
    if not part.start < part.stop <= part.total or length not in (None, part.stop - part.start):
        raise InvalidValue(f"Content-Range {shown(content_range)} does not fit the file or the body.")
    return part
