"""Training windows that hold parts of several documents: no document is read with another before it.

The definition: where a document opens, everything that a model carries starts anew, and the id before its first byte is
BEGIN. What computes the same: each part becomes a row of its own, and rows of like lengths are run together, so that no
rule, composition or kernel needs to know of boundaries. A row is padded at its end, which no earlier position sees.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate

import torch
from torch import Tensor

from training.ngrams import BEGIN

NONE_LEFT = -100
"""The target of a position that is padding; torch's cross entropy leaves it out by default."""

COARSE = 4
"""Rows of a batch of parts are T, T / 4, T / 16, ... long: few batches, none much longer than its parts."""


def starts_of(lengths: Sequence[int]) -> Tensor:
    """The first byte of each document of these lengths, int64 [N]."""
    return torch.tensor([0, *accumulate(lengths)][:-1] or [0])


def opens(at_BT: Tensor, starts_N: Tensor) -> Tensor:
    """bool [B, T]: whether a document opens with the byte at that place of the text."""
    index = torch.searchsorted(starts_N, at_BT.contiguous()).clamp(max=len(starts_N) - 1)
    return starts_N[index] == at_BT


def parts(inputs_BT: Tensor, targets_BT: Tensor, opens_BT: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """The windows cut where documents open -> batches of inputs and targets, int64 [N, length], longest first."""
    B, T = inputs_BT.shape
    ids_BT, cut_BT = inputs_BT.masked_fill(opens_BT, BEGIN), opens_BT.clone()
    cut_BT[:, 0] = True
    first_N = cut_BT.flatten().nonzero()[:, 0]
    length_N = torch.diff(first_N, append=torch.tensor([B * T]))
    longest = T
    while longest:
        shorter = -(-longest // COARSE) if longest > 1 else 0
        chosen_N = (length_N <= longest) & (length_N > shorter)
        if chosen_N.any():
            place_L = torch.arange(int(length_N[chosen_N].max()))
            index_NL = (first_N[chosen_N, None] + place_L).clamp(max=B * T - 1)
            padding_NL = place_L >= length_N[chosen_N, None]
            yield ids_BT.flatten()[index_NL], targets_BT.flatten()[index_NL].masked_fill(padding_NL, NONE_LEFT)
        longest = shorter
