"""Gated linear recurrence: S_t = a_t S_{t-1} + k_t v_t^T, read as y_t = S_t^T q_t. The core of a state-space model.

Here K counts the state's dimensions a channel. Queries and keys are shared by all heads (H = 1), decays are a head's.
Mamba-2's names (Dao, Gu 2024, arXiv:2405.21060): q is C, k is B, v is dt x, a is exp(dt A).
"""

import torch
from torch import Tensor

from training.segments import future, in_segments


def recur(S_BHKV: Tensor, q_B1TK: Tensor, k_B1TK: Tensor, v_BHTV: Tensor, log_a_BHT: Tensor) -> tuple[Tensor, Tensor]:
    """The definition, one token after the other -> (y_BHTV, state). Slow; tests hold `recur_segments` to it."""
    outputs = []
    for t in range(v_BHTV.shape[2]):
        written_BHKV = k_B1TK[:, :, t, :, None] * v_BHTV[:, :, t, None, :]
        S_BHKV = log_a_BHT[:, :, t, None, None].exp() * S_BHKV + written_BHKV
        outputs.append((q_B1TK[:, :, t, None, :] @ S_BHKV).squeeze(-2))
    return torch.stack(outputs, dim=2), S_BHKV


def recur_segments(
    S_BHKV: Tensor, q_B1TK: Tensor, k_B1TK: Tensor, v_BHTV: Tensor, log_a_BHT: Tensor, length: int
) -> tuple[Tensor, Tensor]:
    """The same, `length` tokens at once (arXiv:2405.21060, section 6); exact in exact arithmetic.

    Within a segment that starts with S_0, with b_t the sum of log_a up to t and G_tj = exp(b_t - b_j) for j <= t
    (never above 1): Y = exp(b) Q S_0 + (G * Q K^T) V; the next starts with exp(b_C) S_0 + (exp(b_C - b) K)^T V.
    Only the passing of S is a loop.
    """
    T = v_BHTV.shape[2]
    q, k, v, log_a = (in_segments(x, min(length, T)) for x in (q_B1TK, k_B1TK, v_BHTV, log_a_BHT))
    b_BHNC1 = log_a.cumsum(-2)
    last_BHN11 = b_BHNC1[..., -1:, :]
    G_BHNCC = (b_BHNC1 - b_BHNC1.mT).masked_fill(future(b_BHNC1), -torch.inf).exp()
    within_BHNCV = (G_BHNCC * (q @ k.mT)) @ v
    written_BHNKV = k.mT @ ((last_BHN11 - b_BHNC1).exp() * v)
    before = []
    for decay_BH11, written_BHKV in zip(last_BHN11.exp().unbind(2), written_BHNKV.unbind(2), strict=True):
        before.append(S_BHKV)
        S_BHKV = decay_BH11 * S_BHKV + written_BHKV
    y_BHNCV = within_BHNCV + b_BHNC1.exp() * (q @ torch.stack(before, 2))
    return y_BHNCV.flatten(2, 3)[:, :, :T], S_BHKV
