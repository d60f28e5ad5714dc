"""Artifact kinds: what a file may be, how large, and what its first bytes must look like. Pure; no torch."""

import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from errors import Refusal, unknown

HEAD = 1024 * 1024
"""Bytes at the start of a file that a kind is told by. A checkpoint's header is a few thousand."""

MIB = 1024 * 1024


class WrongKind(Refusal):
    """Upload a file of the kind that the call names; a checkpoint is what a chunk of training stored."""

    code = "wrong_kind"
    status = 422


@dataclass(frozen=True, kw_only=True)
class Kind:
    """largest: bytes that a file of this kind has at most, where the server's own limit is not lower."""

    scope: str
    largest: int
    looks: Callable[[bytes], bool]


def is_checkpoint(head: bytes) -> bool:
    """Whether a file begins like a safetensors file that igla wrote."""
    try:
        (length,) = struct.unpack_from("<Q", head)
        return length <= HEAD - 8 and "igla" in json.loads(head[8 : 8 + length])["__metadata__"]
    except (struct.error, ValueError, KeyError, TypeError, RecursionError):
        return False


def is_text(head: bytes) -> bool:
    """Whether the bytes are UTF-8 text; a character may be cut at the end of a long head."""
    try:
        head[: len(head) - 4 if len(head) == HEAD else None].decode()
    except UnicodeDecodeError as error:
        return len(head) == HEAD and error.start >= len(head) - 8
    return b"\0" not in head


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "checkpoint": Kind(scope="work", largest=2**40, looks=is_checkpoint),
        "corpus": Kind(scope="admin", largest=2**40, looks=lambda head: True),
        "entry": Kind(scope="work", largest=MIB, looks=is_text),
        "file": Kind(scope="work", largest=2**40, looks=lambda head: True),
        "report": Kind(scope="work", largest=16 * MIB, looks=is_text),
    }
)


def kind_of(name: str) -> Kind:
    """A kind by name; an unknown one is refused."""
    if name not in KINDS:
        raise unknown("kind of artifact", name, KINDS)
    return KINDS[name]


def check_kind(name: str, head: bytes) -> None:
    """Refuse (WrongKind) a file that does not begin like one of its kind. head: its first HEAD bytes."""
    if not kind_of(name).looks(head):
        raise WrongKind(f"The file does not begin like a {name}.")
