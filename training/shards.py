"""Token shards: `.bin` files of 16-bit token ids, as openai/parameter-golf and modded-nanogpt write them. No torch.

A header of 256 little-endian int32 (magic, version, number of tokens, zeros), then that many little-endian uint16.
"""

import numpy as np
from numpy.typing import NDArray

from errors import Refusal

MAGIC, VERSION, HEADER_BYTES = 20240520, 1, 1024


class NotAShard(Refusal):
    """Give a file of 256 int32 (magic 20240520, version 1, number of tokens) and as many uint16 as it says."""

    code = "not_a_shard"
    status = 422


def read_shard(data: bytes) -> NDArray[np.uint16]:
    """The token ids in the bytes of a shard; a view, not a copy. Raises NotAShard."""
    if len(data) < HEADER_BYTES:
        raise NotAShard(f"A shard has at least {HEADER_BYTES} bytes, got {len(data)}.")
    magic, version, count = (int(number) for number in np.frombuffer(data, "<i4", 3))
    if (magic, version) != (MAGIC, VERSION):
        raise NotAShard(f"Magic {magic} and version {version} are not the known {MAGIC} and {VERSION}.")
    if len(data) != HEADER_BYTES + 2 * count:
        raise NotAShard(f"A shard of {count} tokens has {HEADER_BYTES + 2 * count} bytes, got {len(data)}.")
    ids: NDArray[np.uint16] = np.frombuffer(data, "<u2", offset=HEADER_BYTES)
    return ids


def write_shard(ids: NDArray[np.uint16]) -> bytes:
    """The bytes of a shard with these token ids."""
    header = np.zeros(HEADER_BYTES // 4, "<i4")
    header[:3] = MAGIC, VERSION, len(ids)
    return header.tobytes() + ids.astype("<u2").tobytes()
