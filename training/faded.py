"""Tokens that a matrix memory only fades over, while its momentum gathers what they teach.

Letters: C tokens, W writes a token, K, V as always; leading axes B, H are not named.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from training.coefficients import before, coefficients, floored


class Faded(NamedTuple):
    """What the memory gives for each query after its token's decay, and before it; memory and momentum at the end.

    after, before: [..., C, V].
    """

    after: Tensor
    before: Tensor
    M_KV: Tensor
    S_KV: Tensor


def faded(
    M_KV: Tensor,
    S_KV: Tensor,
    q_CK: Tensor,
    k_CWK: Tensor,
    v_CWV: Tensor,
    weights_CW: Tensor,
    log_retain_C: Tensor,
    log_momentum_C: Tensor,
    error: Callable[[Tensor, Tensor], Tensor],
) -> Faded:
    """M_t = b_t M_0, S_C = m_C S_0 - sum_t N_Ct g_t, g_t the gradient of token t's writes at M_(t-1): no solve."""
    one_C = torch.ones_like(log_retain_C)
    b_C, _, m_C, _, N_CC = coefficients(floored(log_retain_C), floored(log_momentum_C), one_C)
    left_C = before(b_C, 1.0, -1)
    predicted_CWV = left_C[..., None, None] * (k_CWK @ M_KV[..., None, :, :])
    E_CWV = error(predicted_CWV, v_CWV) * weights_CW[..., None]
    gathered_KV = (N_CC[..., -1, :, None, None] * k_CWK).flatten(-3, -2).mT @ E_CWV.flatten(-3, -2)
    S_KV = m_C[..., -1, None, None] * S_KV - gathered_KV
    y_CV = q_CK @ M_KV
    return Faded(b_C[..., None] * y_CV, left_C[..., None] * y_CV, b_C[..., -1, None, None] * M_KV, S_KV)
