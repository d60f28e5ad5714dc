"""The small network that is a memory: W2 silu(W1 x), and if wrapped x + LN(W2 silu(W1 x)).

Letters: N tokens that meet the same weights; I inputs, U hidden units, O outputs (wrapped: O = I).
"""

from typing import NamedTuple

import torch
from torch import Tensor

SMALL = 1e-6
"""Added to a variance before its root is taken."""


class Pass(NamedTuple):
    """What recalling leaves for its gradient: hidden values and their slopes, the normed output, its deviation."""

    hidden: Tensor
    slope: Tensor
    normed: Tensor | None
    deviation: Tensor | None


def recall(W1_UI: Tensor, W2_OU: Tensor, x_NI: Tensor, wrapped: bool) -> tuple[Tensor, Pass]:
    """What the network says -> (y_NO, the pass)."""
    z_NU = x_NI @ W1_UI.mT
    y_NO, hidden_NU, slope_NU = outward(z_NU, W2_OU)
    if not wrapped:
        return y_NO, Pass(hidden_NU, slope_NU, None, None)
    normed_NO, deviation_N1 = normed(y_NO)
    return x_NI + normed_NO, Pass(hidden_NU, slope_NU, normed_NO, deviation_N1)


def outward(z_NU: Tensor, W2_OU: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """W2 silu(z), silu(z) and its slope."""
    gate_NU = torch.sigmoid(z_NU)
    hidden_NU = z_NU * gate_NU
    return hidden_NU @ W2_OU.mT, hidden_NU, gate_NU + hidden_NU * (1 - gate_NU)


def normed(y_NO: Tensor, small: float = SMALL) -> tuple[Tensor, Tensor]:
    """Layer norm without gain -> (y over its deviation, the deviation)."""
    centred_NO = y_NO - y_NO.mean(-1, keepdim=True)
    deviation_N1 = (centred_NO.square().mean(-1, keepdim=True) + small).sqrt()
    return centred_NO / deviation_N1, deviation_N1


def pull(done: Pass, W2_OU: Tensor, error_NO: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of a loss, whose gradient by the prediction is error, by W1 x and by W2 h -> (D_NU, E_NO).

    The weights' own are D^T x and E^T h, summed over tokens.
    """
    E_NO = error_NO
    if done.normed is not None and done.deviation is not None:
        along = done.normed * (done.normed * E_NO).mean(-1, keepdim=True)
        E_NO = (E_NO - E_NO.mean(-1, keepdim=True) - along) / done.deviation
    return (E_NO @ W2_OU) * done.slope, E_NO
