"""Sliding-window attention at a cost that is linear in length: rotary positions, normed queries and keys."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

THETA = 10000.0
"""Base of the rotary wavelengths (Su et al. 2021, arXiv:2104.09864)."""


class Cache(NamedTuple):
    """What the next ids still see: the last window - 1 keys (before rotation) and values, fewer near the start.

    keys: [B, H, S, K]. values: [B, H, S, V].
    """

    keys: Tensor
    values: Tensor


def attend(
    q_BHTK: Tensor, k_BHTK: Tensor, v_BHTV: Tensor, window: int, past: Cache | None, prefix: Cache | None = None
) -> tuple[Tensor, Cache]:
    """Position t attends to positions t - window < j <= t, those of `past` included -> [B, H, T, V] and the new cache.

    Positions are relative, so the result does not depend on how much text came before the window. Every position also
    attends to `prefix`, which has no position: its scores are those of keys and queries that are not rotated.
    """
    if past is not None:
        k_BHTK, v_BHTV = torch.cat([past.keys, k_BHTK], 2), torch.cat([past.values, v_BHTV], 2)
    before = k_BHTK.shape[2] - q_BHTK.shape[2]
    keep = max(0, k_BHTK.shape[2] - (window - 1))
    cache = Cache(k_BHTK[:, :, keep:], v_BHTV[:, :, keep:])
    q_BHTK, k_BHTK, prefix, scale = placed(q_BHTK, rotate(q_BHTK, before), rotate(k_BHTK, 0), prefix)
    return banded(q_BHTK, k_BHTK, v_BHTV, window, prefix, scale), cache


def attend_context(q_BHTK: Tensor, recalled: Cache | None, own: Cache, window: int, prefix: Cache | None) -> Tensor:
    """The last T positions of a segment attend to its keys and to what was recalled for it, if it was -> [B, H, T, V].

    recalled, own: one key and value a position of the segment so far, S >= T. Position t sees both of
    t - window < j <= t, never what was recalled for a later position, and all of `prefix`.
    """
    T, S = q_BHTK.shape[2], own.keys.shape[2]
    each = [own] if recalled is None else [recalled, own]
    keys_BHSK = torch.cat([rotate(cache.keys, 0) for cache in each], dim=2)
    values_BHSV = torch.cat([cache.values for cache in each], dim=2)
    mask = band(T, S - T, window, 1, q_BHTK)[0].repeat(1, len(each))
    q, k, prefix, scale = placed(q_BHTK, rotate(q_BHTK, S - T), keys_BHSK, prefix)
    k, v, mask = led(k, values_BHSV, mask, prefix)
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)


def placed(
    q_BHTK: Tensor, rotated_BHTK: Tensor, k_BHSK: Tensor, prefix: Cache | None
) -> tuple[Tensor, Tensor, Cache | None, float | None]:
    """Queries and keys that score `prefix` without rotation and all else with it -> (q, k, prefix, scale).

    Two halves: rotated queries meet rotated keys in the first, plain queries the prefix in the second.
    """
    if prefix is None:
        return rotated_BHTK, k_BHSK, None, None
    K = q_BHTK.shape[-1]
    keys = functional.pad(prefix.keys, (K, 0))
    return torch.cat([rotated_BHTK, q_BHTK], -1), functional.pad(k_BHSK, (0, K)), Cache(keys, prefix.values), K**-0.5


def led(k_BHSK: Tensor, v_BHSV: Tensor, mask: Tensor, prefix: Cache | None) -> tuple[Tensor, Tensor, Tensor]:
    """Keys, values and mask with the prefix in front, seen by every query."""
    if prefix is None:
        return k_BHSK, v_BHSV, mask
    k_BHSK, v_BHSV = torch.cat([prefix.keys, k_BHSK], 2), torch.cat([prefix.values, v_BHSV], 2)
    return k_BHSK, v_BHSV, functional.pad(mask, (prefix.keys.shape[2], 0))


def banded(
    q_BHTK: Tensor, k_BHSK: Tensor, v_BHSV: Tensor, window: int, prefix: Cache | None, scale: float | None
) -> Tensor:
    """Blocks of `window` queries, each against its own block of keys and the one before -> [B, H, T, V].

    The S - T keys in front (fewer than `window`) belong to positions before the first query. Cost: 2 T window, not T^2.
    """
    B, H, T, K = q_BHTK.shape
    before = k_BHSK.shape[2] - T
    if window >= T:
        k, v, mask = led(k_BHSK, v_BHSV, band(T, before, window, 1, q_BHTK)[0], prefix)
        return functional.scaled_dot_product_attention(q_BHTK, k, v, attn_mask=mask, scale=scale)
    blocks = -(-T // window)
    tail = blocks * window - T
    q = functional.pad(q_BHTK, (0, 0, 0, tail)).reshape(B, H * blocks, window, K)
    k, v = (pairs(functional.pad(x, (0, 0, window - before, tail)), window) for x in (k_BHSK, v_BHSV))
    mask = band(window, window, window, blocks, q_BHTK, first=window - before).repeat(H, 1, 1)
    if prefix is not None:
        prefix = Cache(*(x.repeat_interleave(blocks, dim=1) for x in prefix))
    k, v, mask = led(k, v, mask, prefix)
    y = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask[None], scale=scale)
    return y.reshape(B, H, blocks * window, -1)[:, :, :T]


def pairs(x_BHSK: Tensor, window: int) -> Tensor:
    """[B, H, (n + 1) window, K] -> [B, H n, 2 window, K]: every block of `window` with the one before it."""
    B, H, S, K = x_BHSK.shape
    blocks = x_BHSK.view(B, H, S // window, window, K)
    return torch.cat([blocks[:, :, :-1], blocks[:, :, 1:]], dim=3).view(B, -1, 2 * window, K)


def band(queries: int, before: int, window: int, blocks: int, like: Tensor, first: int = 0) -> Tensor:
    """Additive mask [blocks, queries, before + queries]: 0 where t - window < j <= t, -inf elsewhere.

    In block 0 the first `first` keys are padding and masked too.
    """
    t = torch.arange(queries, device=like.device)[:, None] + before
    j = torch.arange(before + queries, device=like.device)[None, :]
    seen = ((j <= t) & (j > t - window)).repeat(blocks, 1, 1)
    seen[0, :, :first] = False
    return torch.zeros(seen.shape, dtype=like.dtype, device=like.device).masked_fill_(~seen, -torch.inf)


def rotate(x_BHTK: Tensor, start: int) -> Tensor:
    """Rotary embedding: turn the pair (i, i + K/2) of position t by the angle (start + t) / THETA^(2i/K)."""
    T, K = x_BHTK.shape[-2:]
    frequency = THETA ** -(torch.arange(0, K, 2, device=x_BHTK.device, dtype=torch.float64) / K)
    angle = torch.outer(torch.arange(start, start + T, device=x_BHTK.device, dtype=torch.float64), frequency)
    cos, sin = angle.cos().to(x_BHTK.dtype), angle.sin().to(x_BHTK.dtype)
    a, b = x_BHTK.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)
