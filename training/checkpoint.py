"""Checkpoints: everything that a run needs to go on, as one safetensors file that is named by its SHA-256."""

import json
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from errors import Refusal

KEY = "igla"
"""The one metadata key. With a second one the header's order, and so the digest, would be left to chance."""

FORMAT = 1


class CheckpointCorrupt(Refusal):
    """The file is no checkpoint of this run; start the run again from step 0, or name another checkpoint."""

    code = "checkpoint_corrupt"
    status = 422


@dataclass(frozen=True, kw_only=True)
class Meta:
    """What a checkpoint says about itself.

    recipe: the complete flat form. step: optimizer steps done, out of total_steps. seed and step are also the data
    cursor and the state of all randomness: every draw is a function of them. A training window starts with an empty
    memory, so no memory outlives a step. environment: the facts of `training.environment`.
    """

    recipe: Mapping[str, Any]
    seed: int
    step: int
    total_steps: int
    environment: Mapping[str, Any]
    format: int = FORMAT


def pack(meta: Meta, tensors: Mapping[str, Tensor]) -> bytes:
    """One file; equal content gives equal bytes."""
    text = json.dumps(asdict(meta), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return save({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, {KEY: text})


def unpack(data: bytes) -> tuple[Meta, dict[str, Tensor]]:
    """What `pack` put in. Raises CheckpointCorrupt."""
    try:
        (length,) = struct.unpack_from("<Q", data)
        meta = Meta(**json.loads(json.loads(data[8 : 8 + length])["__metadata__"][KEY]))
        tensors = load(data)
    except (SafetensorError, struct.error, KeyError, TypeError, ValueError) as error:
        raise CheckpointCorrupt(f"Not a checkpoint file ({type(error).__name__}).") from error
    if meta.format != FORMAT:
        raise CheckpointCorrupt(f"Format {meta.format} is not the known {FORMAT}.")
    return meta, tensors


def restore(into: Mapping[str, Tensor], saved: Mapping[str, Tensor]) -> None:
    """Copy saved tensors into live ones of the same names, shapes and types. Raises CheckpointCorrupt.

    Copying, not replacing: live tensors keep their aligned memory, so kernels take the same paths as before.
    """
    if into.keys() != saved.keys():
        raise CheckpointCorrupt(f"Tensors differ: {', '.join(sorted(into.keys() ^ saved.keys())[:5])}.")
    for name, live in into.items():
        if live.shape != saved[name].shape or live.dtype != saved[name].dtype:
            raise CheckpointCorrupt(
                f"{name} is {saved[name].dtype} {tuple(saved[name].shape)}, not {tuple(live.shape)}."
            )
    with torch.no_grad():
        for name, live in into.items():
            live.copy_(saved[name])
