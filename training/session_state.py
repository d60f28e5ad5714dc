"""What a session knows, and the one file that holds it: safetensors with a JSON header, checked by its own digest."""

import hashlib
import json
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from errors import Refusal
from training.checkpoint import KEY
from training.model import Carried

FORMAT = 1


class SessionCorrupt(Refusal):
    """The bytes are no session as it was stored; restore another copy, or begin a new session."""

    code = "session_corrupt"
    status = 422


@dataclass(frozen=True)
class Place:
    """Where a session stands in its text. Its tensors are never written to, so two sessions may share them.

    carried: the model's state. ahead: natural log-probabilities [256] of the byte that comes now.
    """

    carried: Carried
    ahead: Tensor


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a stored session says about itself.

    checkpoint, still: what is served. position: bytes read. budget: bytes that may be read; None: any number. cursor:
    of the stream that is followed. environment: its facts. digest: SHA-256 of the file with an empty digest.
    """

    checkpoint: str
    still: bool
    position: int
    budget: int | None
    cursor: Mapping[str, Any] | None
    environment: Mapping[str, Any]
    format: int = FORMAT
    digest: str = ""


def packed(header: Header, place: Place, random: torch.Generator) -> bytes:
    """One file; equal content gives equal bytes."""
    own = {"ahead": place.ahead, "random": random.get_state()}
    tensors = {**dict(leaves(place.carried, "carried")), **own}
    plain = written(header, tensors)
    return written(replace(header, digest=hashlib.sha256(plain).hexdigest()), tensors)


def unpacked(data: bytes) -> tuple[Header, dict[str, Tensor]]:
    """What `packed` put in. Raises SessionCorrupt where one bit is another."""
    try:
        (length,) = struct.unpack_from("<Q", data)
        header = Header(**json.loads(json.loads(data[8 : 8 + length])["__metadata__"][KEY]))
        tensors = load(data)
        hashed = hashlib.sha256(written(replace(header, digest=""), tensors)).hexdigest()
        sound = hashed == header.digest and written(header, tensors) == data
    except (SafetensorError, struct.error, KeyError, TypeError, ValueError, OverflowError, MemoryError) as error:
        raise SessionCorrupt(f"Not a session file ({type(error).__name__}).") from error
    if header.format != FORMAT:
        raise SessionCorrupt(f"Format {header.format} is not the known {FORMAT}.")
    if not sound or not well_formed(header):
        raise SessionCorrupt("The content has another digest than the file claims.")
    return header, tensors


def well_formed(header: Header) -> bool:
    """Whether the fields of a header from outside have the types that they are used with."""
    counts = [header.position, *([] if header.budget is None else [header.budget])]
    texts = isinstance(header.checkpoint, str) and isinstance(header.environment, dict)
    cursor = header.cursor is None or isinstance(header.cursor, dict)
    return texts and cursor and all(type(count) is int and count >= 0 for count in counts)


def written(header: Header, tensors: Mapping[str, Tensor]) -> bytes:
    """The file of a header and tensors."""
    text = json.dumps(asdict(header), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return save({name: tensor.contiguous() for name, tensor in tensors.items()}, {KEY: text})


def placed(template: Place, tensors: Mapping[str, Tensor]) -> Place:
    """The place that was stored; template: any place of the same model. Raises SessionCorrupt.

    Lengths may differ, for a window fills up; names, types and numbers of axes may not.
    """
    own = {"ahead": template.ahead, "random": torch.Generator().get_state()}
    wanted = {**dict(leaves(template.carried, "carried")), **own}
    for name in wanted.keys() | tensors.keys():
        if name not in wanted or name not in tensors or like(wanted[name]) != like(tensors[name]):
            raise SessionCorrupt(f"{name} is not what this model carries.")
    if any(tensors[name].shape != own[name].shape for name in own):
        raise SessionCorrupt("The generator or the probabilities have another size.")
    return Place(mapped(template.carried, "carried", lambda name, _: kept(tensors[name])), kept(tensors["ahead"]))


def like(tensor: Tensor) -> tuple[torch.dtype, int]:
    """Type and number of axes."""
    return tensor.dtype, tensor.ndim


def kept(tensor: Tensor) -> Tensor:
    """A copy with its own memory, in the plain layout.

    What is carried on is often a view of a whole part's work; and a state from a file must take the same kernels as
    one that never left the memory, so both have one layout.
    """
    return tensor.detach().clone(memory_format=torch.contiguous_format)


def leaves(tree: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of nested (named) tuples, with its path; None holds nothing."""
    if isinstance(tree, Tensor):
        yield name, tree
    elif tree is not None:
        assert isinstance(tree, tuple), f"{name}: a carried state is made of tuples, tensors and None, got {type(tree)}"
        for key, child in zip(keys(tree), tree, strict=True):
            yield from leaves(child, f"{name}.{key}")


def mapped(tree: Any, name: str, change: Callable[[str, Tensor], Tensor]) -> Any:
    """The same tuples with every tensor changed."""
    if isinstance(tree, Tensor):
        return change(name, tree)
    if tree is None:
        return None
    children = [mapped(child, f"{name}.{key}", change) for key, child in zip(keys(tree), tree, strict=True)]
    return type(tree)(*children) if hasattr(tree, "_fields") else tuple(children)


def keys(tree: tuple[Any, ...]) -> list[str]:
    """Names of a tuple's parts."""
    return list(getattr(tree, "_fields", None) or map(str, range(len(tree))))
