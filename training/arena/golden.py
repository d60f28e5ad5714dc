"""The golden state: one hash over all tensors that an entry's training wrote, whatever else the files hold."""

import hashlib
import json
import struct
from pathlib import Path

SEED = 1597
"""The seed at which a golden state is taken: the first of a race's usual three."""

HEADER_MOST = 16 * 1024 * 1024


class NotTensors(ValueError):
    """The file is no safetensors file."""


def golden(artifact: Path) -> str | None:
    """SHA-256 over every tensor's name, type, shape and bytes, in order of name; None where there is no tensor.

    Raises NotTensors. Two files that name the same tensor count in order of file name.
    """
    tensors = [tensor for path in sorted(artifact.rglob("*.safetensors")) for tensor in tensors_of(path.read_bytes())]
    if not tensors:
        return None
    digest = hashlib.sha256()
    for name, kind, shape, data in sorted(tensors, key=lambda tensor: tensor[0]):
        head = json.dumps([name, kind, shape, len(data)], separators=(",", ":")).encode()
        digest.update(len(head).to_bytes(8, "little") + head + data)
    return digest.hexdigest()


def tensors_of(packed: bytes) -> list[tuple[str, str, list[int], bytes]]:
    """Name, type, shape and little-endian bytes of each tensor of a safetensors file. Raises NotTensors."""
    try:
        (length,) = struct.unpack_from("<Q", packed)
        if length > HEADER_MOST:
            raise NotTensors("The header is too long.")
        body = memoryview(packed)[8 + length :]
        header = json.loads(packed[8 : 8 + length])
        found = []
        for name, about in header.items():
            if name != "__metadata__":
                begin, end = about["data_offsets"]
                if not 0 <= begin <= end <= len(body):
                    raise NotTensors("A tensor lies outside the file.")
                found.append(
                    (name, str(about["dtype"]), [int(size) for size in about["shape"]], bytes(body[begin:end]))
                )
        if sum(len(data) for *_, data in found) != len(body):
            raise NotTensors("The file holds bytes that belong to no tensor.")
    except (struct.error, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise NotTensors(str(error)) from None
    return found
