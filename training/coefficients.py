"""Coefficients of a memory with decay and momentum over a segment, for tokens whose gradients are known.

S_t = eta_t S_(t-1) - theta_t g_t, M_t = (1 - alpha_t) M_(t-1) + S_t unroll to
M_t = retained_t M_0 + carried_t S_0 - sum_j writes_tj g_j and S_t = momentum_t S_0 - sum_j moves_tj g_j.
Every factor is an exponential of a difference of sums of logs that is never positive: nothing overflows.
Letters: C tokens of a segment; a row is the time that is looked from, a column the token that wrote.
"""

from typing import NamedTuple

import torch
from torch import Tensor

FLOOR = -30.0
"""Smallest log of a gate: exp(-30) = 1e-13 is nothing beside 1, and differences of sums of such logs stay exact."""


class Coefficients(NamedTuple):
    """See the module. retained, carried, momentum: [..., C]; writes, moves: [..., C, C], lower triangular."""

    retained: Tensor
    carried: Tensor
    momentum: Tensor
    writes: Tensor
    moves: Tensor


def coefficients(log_retain: Tensor, log_momentum: Tensor | None, theta: Tensor) -> Coefficients:
    """From gates [..., C]; without momentum S is what the token itself writes."""
    decay = between(log_retain)
    retained = log_retain.cumsum(-1).exp()
    if log_momentum is None:
        nothing = torch.zeros_like(retained)
        return Coefficients(retained, nothing, nothing, decay * theta[..., None, :], torch.diag_embed(theta))
    moves = between(log_momentum) * theta[..., None, :]
    momentum = log_momentum.cumsum(-1).exp()
    return Coefficients(retained, (decay @ momentum[..., None]).squeeze(-1), momentum, decay @ moves, moves)


def between(log: Tensor) -> Tensor:
    """[..., C] -> [..., C, C]: product of a gate after the column up to the row, 0 above the diagonal."""
    total = log.cumsum(-1)
    future = torch.ones(log.shape[-1], log.shape[-1], dtype=torch.bool, device=log.device).triu(1)
    return (total[..., :, None] - total[..., None, :]).masked_fill(future, -torch.inf).exp()


def before(x: Tensor, first: float, dim: int) -> Tensor:
    """The same one token earlier: shifted along `dim`, beginning with `first`."""
    start = torch.full_like(x.narrow(dim, 0, 1), first)
    return torch.cat([start, x.narrow(dim, 0, x.shape[dim] - 1)], dim)


def floored(log: Tensor) -> Tensor:
    """A log gate, no smaller than FLOOR."""
    return log.clamp(min=FLOOR)
