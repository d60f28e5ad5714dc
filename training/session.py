"""Sessions: a trained model reads bytes and tells what comes next, with a state that does not grow.

The model's memory goes on changing while it reads; its weights do not. Read byte by byte or in long parts, a text gives
the same predictions, to rounding: what a rule does at certain tokens only, it counts from the start of the text.
"""

from dataclasses import asdict
from typing import Self

import torch
from torch import Tensor

from errors import InvalidValue, Refusal
from training.environment import environment
from training.latency import Latency
from training.serving import PART, Served
from training.session_state import Header, Place, leaves, packed, placed, unpacked
from training.stream import Cursor, StreamChunk, cursor_from


class SessionFull(Refusal):
    """The session has read its budget of bytes; open another one, with a larger budget or without one."""

    code = "session_full"
    status = 409


class SessionMismatch(Refusal):
    """Restore the session over the checkpoint that it was opened on, served in the same way."""

    code = "session_mismatch"
    status = 409


class StreamOutOfPlace(Refusal):
    """Give the session the chunk at its cursor; to read other bytes, fork it and give them to the fork."""

    code = "stream_out_of_place"
    status = 409


class Session:
    """One reader of one text. Open it with `new_test`, `new_stream` or `restore`.

    position: bytes read. random: what drawing bytes draws from; a session's own. tokens, parts: how long calls took
    that read one byte, and more than one. cursor: of the stream that is followed, if one is. environment: facts
    of where it was opened.
    """

    def __init__(self, served: Served, place: Place, *, budget: int | None, cursor: Cursor | None) -> None:
        self.served, self.place, self.budget, self.cursor = served, place, budget, cursor
        self.position, self.random = 0, torch.Generator()
        self.tokens, self.parts = Latency(), Latency()
        self.environment = environment().facts

    @classmethod
    def new_test(cls, served: Served, budget: int, seed: int = 0) -> Self:
        """A session that reads at most `budget` bytes."""
        if budget < 1:
            raise InvalidValue(f"A budget has at least one byte, got {budget}.")
        session = cls(served, served.opening(), budget=budget, cursor=None)
        session.random.manual_seed(seed)
        return session

    @classmethod
    def new_stream(cls, served: Served, cursor: Cursor | None = None, seed: int = 0) -> Self:
        """A session that reads any number of bytes; with a cursor, the documents of the stream that it is of."""
        session = cls(served, served.opening(), budget=None, cursor=cursor)
        session.random.manual_seed(seed)
        return session

    @classmethod
    def restore(cls, served: Served, data: bytes) -> Self:
        """The session that was stored; where `same_environment` holds it goes on bit for bit.

        Raises SessionCorrupt, SessionMismatch.
        """
        header, tensors = unpacked(data)
        if (header.checkpoint, header.still) != (served.checkpoint, served.still):
            raise SessionMismatch(f"The session is of {header.checkpoint[:12]}, served is {served.checkpoint[:12]}.")
        cursor = None if header.cursor is None else cursor_from(header.cursor)
        session = cls(served, placed(served.opening(), tensors), budget=header.budget, cursor=cursor)
        session.position, session.environment = header.position, header.environment
        session.random.set_state(tensors["random"].clone())
        return session

    @property
    def same_environment(self) -> bool:
        """Whether it was opened in this environment."""
        return dict(self.environment) == dict(environment().facts)

    @property
    def ahead(self) -> Tensor:
        """Natural log-probabilities [256] of the byte that comes now."""
        return self.place.ahead

    @property
    def state_bytes(self) -> int:
        """Size of what the session knows; it has a bound that does not depend on how much was read."""
        held = [*dict(leaves(self.place.carried, "carried")).values(), self.place.ahead]
        return sum(tensor.untyped_storage().nbytes() for tensor in held)

    def process(self, data: bytes) -> Tensor:
        """Read bytes -> natural log-probabilities [n, 256] of the byte after each. Raises SessionFull: nothing is read.

        Raises StreamOutOfPlace where the session follows a stream.
        """
        if self.cursor is not None:
            raise StreamOutOfPlace("The session follows a stream.")
        return self.read(data)

    def prefill(self, data: bytes) -> Tensor:
        """Read bytes, and keep only the log-probabilities [256] of the byte after the last. Raises as `process`."""
        self.refuse_full(len(data))
        for at in range(0, len(data), PART):
            self.process(data[at : at + PART])
        return self.ahead

    def follow(self, chunk: StreamChunk) -> Tensor:
        """`process` the chunk at the cursor; a document begins with nothing read before it. Raises StreamOutOfPlace."""
        if chunk.start != self.cursor:
            raise StreamOutOfPlace(
                f"The chunk is number {chunk.start.chunk_id} of a stream, not the one at the cursor."
            )
        if chunk.opens:
            self.place = self.served.opening()
        rows_TV = self.read(chunk.data)
        self.cursor = chunk.after
        return rows_TV

    def read(self, data: bytes) -> Tensor:
        """Read bytes, timed."""
        self.refuse_full(len(data))
        if not data:
            return self.ahead.new_empty(0, len(self.ahead))
        began = self.served.clock()
        self.place, rows_TV = self.served.read(self.place, torch.frombuffer(bytearray(data), dtype=torch.uint8).long())
        self.position += len(data)
        (self.tokens if len(data) == 1 else self.parts).record(self.served.clock() - began)
        return rows_TV

    def refuse_full(self, count: int) -> None:
        """Raise SessionFull where so many more bytes are more than the budget."""
        if self.budget is not None and self.position + count > self.budget:
            raise SessionFull(f"{self.position} of {self.budget} bytes are read; {count} more are too many.")

    def checkpoint(self) -> bytes:
        """The session as a file."""
        header = Header(
            checkpoint=self.served.checkpoint,
            still=self.served.still,
            position=self.position,
            budget=self.budget,
            cursor=None if self.cursor is None else asdict(self.cursor),
            environment=self.environment,
        )
        return packed(header, self.place, self.random)

    def fork(self) -> Self:
        """Another session at the same place, which follows no stream; what one reads the other does not know."""
        other = type(self)(self.served, self.place, budget=self.budget, cursor=None)
        other.position, other.environment = self.position, self.environment
        other.random.set_state(self.random.get_state())
        return other
