"""Hashed n-grams: which row of each order's table the last n ids select."""

import torch
from torch import Tensor

BEGIN = 256
"""The id of begin-of-text; the ids 0..255 are the bytes."""

MIX = 0x9E3779B97F4A7C15 - 2**64
"""2**64 / golden ratio as a signed 64-bit integer: Fibonacci hashing (Knuth, The Art of Computer Programming 6.4)."""


def orders(ngram: int) -> range:
    """The orders that have a table: 2..ngram. Order 1 is the byte embedding."""
    return range(2, ngram + 1)


def rows(ids_BS: Tensor, ngram: int, buckets: int) -> Tensor:
    """Row of every n-gram that ends at each of the last T = S - (ngram - 1) ids -> int64 [B, T, O].

    ids_BS: int64, with the ngram - 1 ids before the first position in front. The tables of all orders lie one after
    the other, `buckets` rows each. A key is the n-gram read as a number in base 257 (64-bit, wrapping), plus its order
    in the top digit; the row is its Fibonacci hash modulo `buckets`.
    """
    length = ids_BS.shape[1] - (ngram - 1)
    key_BT, scale, columns = ids_BS[:, ngram - 1 :], 1, []
    for index, order in enumerate(orders(ngram)):
        scale *= 257
        start = ngram - order
        key_BT = key_BT + ids_BS[:, start : start + length] * scale
        columns.append(hashed(key_BT + order, buckets) + index * buckets)
    return torch.stack(columns, dim=-1)


def hashed(key: Tensor, buckets: int) -> Tensor:
    """int64 of any shape -> 0..buckets-1. The well-mixed upper 31 bits of the product decide."""
    return ((key * MIX) >> 33).bitwise_and(2**31 - 1).remainder(buckets)
