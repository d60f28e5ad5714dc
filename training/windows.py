"""Training windows: which bytes an optimizer step sees, a function of seed and step alone."""

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from errors import Refusal
from training.ngrams import BEGIN


class TextTooShort(Refusal):
    """Train on a longer text, or with a smaller `context`."""

    code = "text_too_short"
    status = 422


def as_tensor(text: bytes) -> Tensor:
    """Bytes -> uint8 [S], a copy."""
    return torch.frombuffer(bytearray(text), dtype=torch.uint8)


def window_batch(text_S: Tensor, *, seed: int, step: int, batch: int, context: int) -> tuple[Tensor, Tensor]:
    """Inputs and targets of one step -> two int64 [batch, context]; an input is the byte before its target.

    The text is cut into windows of `context` bytes; an epoch takes every window once, in an order and with a shift of
    the cuts that are drawn from (seed, epoch). Before the first byte stands BEGIN. Raises TextTooShort.
    """
    at_BT = places(len(text_S), seed=seed, step=step, batch=batch, context=context)
    ids_BT = text_S[at_BT.clamp(min=0)].long().masked_fill(at_BT < 0, BEGIN)
    return ids_BT[:, :-1], ids_BT[:, 1:]


def places(length: int, *, seed: int, step: int, batch: int, context: int) -> Tensor:
    """Where the windows of a step lie in a text, each with the byte before it -> int64 [batch, 1 + context]."""
    if length < context:
        raise TextTooShort(f"The text has {length} bytes, a window {context}.")
    starts_B1 = torch.tensor([[start(seed, i, context, length)] for i in range(step * batch, (step + 1) * batch)])
    return starts_B1 + torch.arange(-1, context)


def start(seed: int, index: int, context: int, length: int) -> int:
    """First byte of the index-th window since the run began."""
    count = max(1, length // context - 1)
    epoch, place = divmod(index, count)
    order, shift = epoch_order(seed, epoch, count, min(context, length - context * count))
    return int(order[place]) * context + shift


@lru_cache(maxsize=8)
def epoch_order(seed: int, epoch: int, count: int, largest_shift: int) -> tuple[NDArray[Any], int]:
    """The order of an epoch's `count` windows, and the shift of the cuts in 0..largest_shift."""
    random = np.random.Generator(np.random.Philox(key=[seed, epoch]))
    return random.permutation(count), int(random.integers(0, largest_shift + 1))
