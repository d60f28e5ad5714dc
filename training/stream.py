"""Stream: documents one after the other, in chunks that end where a document ends, with a cursor to go on from.

Pure: `take` is a function of the documents and the cursor. A cursor that is stored together with the state of whoever
read up to it names the one place to go on, so that nothing is read twice and nothing is left out.
"""

import hashlib
import json
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from functools import cached_property
from itertools import accumulate
from typing import Any

from errors import InvalidValue, Refusal, shown


class StreamChanged(Refusal):
    """Open the stream over the very bytes that the cursor was made on, or begin a new one."""

    code = "stream_changed"
    status = 409


class StreamEnded(Refusal):
    """All documents of the stream were read; open another stream."""

    code = "stream_ended"
    status = 409


class Event(StrEnum):
    """What stands at the end of a chunk. After a document ends, the next byte starts from nothing."""

    CHUNK_BOUNDARY = "chunk_boundary"
    DOCUMENT_END = "document_end"
    STREAM_END = "stream_end"


@dataclass(frozen=True, kw_only=True)
class Cursor:
    """Where a stream stands: so many chunks were taken, and the next byte is `offset` of data set `dataset`.

    content_hash: what the stream was made of (`Stream.content_hash`).
    """

    content_hash: str
    dataset: int = 0
    offset: int = 0
    chunk_id: int = 0

    def as_json(self) -> dict[str, Any]:
        """Its fields."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class StreamChunk:
    """Bytes of one document. start, after: the cursor before and behind them. opens: they begin their document."""

    data: bytes
    start: Cursor
    after: Cursor
    opens: bool
    event: Event


@dataclass(frozen=True)
class Dataset:
    """Documents, one after the other, of these lengths. Every document has at least one byte."""

    text: bytes
    lengths: tuple[int, ...]

    @cached_property
    def ends(self) -> list[int]:
        """Where each document ends."""
        return list(accumulate(self.lengths))


class Stream:
    """Data sets in their order. Raises InvalidValue where there is nothing in them or the lengths do not add up."""

    def __init__(self, datasets: Sequence[Dataset]) -> None:
        for each in datasets:
            if not each.lengths or min(each.lengths) < 1 or sum(each.lengths) != len(each.text):
                raise InvalidValue(f"Documents have at least one byte and {len(each.text)} together.")
        if not datasets:
            raise InvalidValue("A stream has at least one data set.")
        self.datasets = tuple(datasets)

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 over the bytes and the document lengths of all data sets."""
        told = [(hashlib.sha256(each.text).hexdigest(), each.lengths) for each in self.datasets]
        return hashlib.sha256(json.dumps(told, separators=(",", ":")).encode()).hexdigest()

    def start(self) -> Cursor:
        """Before the first byte."""
        return Cursor(content_hash=self.content_hash)

    def take(self, cursor: Cursor, size: int) -> StreamChunk:
        """The next bytes, at most `size`, never of two documents. Raises StreamEnded, StreamChanged, InvalidValue."""
        if size < 1:
            raise InvalidValue(f"A chunk has at least one byte, got {size}.")
        self.refuse_foreign(cursor)
        if cursor.dataset == len(self.datasets):
            raise StreamEnded(f"The stream ended after {cursor.chunk_id} chunks.")
        current = self.datasets[cursor.dataset]
        document = bisect_right(current.ends, cursor.offset)
        document_end = current.ends[document]
        stop = min(cursor.offset + size, document_end)
        after = replace(cursor, offset=stop, chunk_id=cursor.chunk_id + 1)
        if stop == len(current.text):
            after = replace(after, dataset=cursor.dataset + 1, offset=0)
        return StreamChunk(
            data=current.text[cursor.offset : stop],
            start=cursor,
            after=after,
            opens=cursor.offset == document_end - current.lengths[document],
            event=self.event(after, stop == document_end),
        )

    def event(self, after: Cursor, document_ended: bool) -> Event:
        """What stands before the cursor."""
        if after.dataset == len(self.datasets):
            return Event.STREAM_END
        return Event.DOCUMENT_END if document_ended else Event.CHUNK_BOUNDARY

    def chunks(self, size: int, cursor: Cursor | None = None) -> Iterator[StreamChunk]:
        """All that comes after the cursor, in chunks of at most `size`."""
        cursor = cursor or self.start()
        self.refuse_foreign(cursor)
        while cursor.dataset < len(self.datasets):
            chunk = self.take(cursor, size)
            cursor = chunk.after
            yield chunk

    def refuse_foreign(self, cursor: Cursor) -> None:
        """Raise StreamChanged for a cursor that was made on other bytes, InvalidValue for one that is nowhere."""
        if cursor.content_hash != self.content_hash:
            raise StreamChanged(f"The cursor is of {shown(cursor.content_hash[:12])}, not of {self.content_hash[:12]}.")
        limits = [len(each.text) for each in self.datasets]
        ended = (cursor.dataset, cursor.offset) == (len(limits), 0)
        inside = 0 <= cursor.dataset < len(limits) and 0 <= cursor.offset < limits[cursor.dataset]
        if not (ended or inside) or cursor.chunk_id < 0:
            raise InvalidValue(f"There is no place {cursor.offset} in data set {cursor.dataset} of {len(limits)}.")


def cursor_from(given: Any) -> Cursor:
    """The cursor in a JSON value. Raises InvalidValue for anything else."""
    kinds = {"content_hash": str, "dataset": int, "offset": int, "chunk_id": int}
    if not isinstance(given, dict) or {key: type(value) for key, value in given.items()} != kinds:
        raise InvalidValue(f"A cursor has {', '.join(kinds)}, got {shown(given)}.")
    return Cursor(**given)
