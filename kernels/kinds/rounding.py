"""Rounding of tensors, shared by the PyTorch forms. `kernels.kinds.rounded` is the definition."""

import math

import torch
from torch import Tensor

from kernels.kinds import RANDOM_BITS


def drawn(random_bits: Tensor | None) -> Tensor:
    """The random bits, which stochastic rounding must be given."""
    assert random_bits is not None, "stochastic rounding needs random numbers"
    return random_bits


def round_pattern(a: Tensor, shift: int | Tensor, rounding: str, random_bits: Tensor | None) -> Tensor:
    """a >= 0 with the last `shift` bits of each pattern cleared and carried where it rounds up. Infinity and NaN stay.

    shift: 0 up to the carrier's fraction bits - 1, of its integer type where it is a tensor.
    """
    u = a.view(torch.int32 if a.dtype == torch.float32 else torch.int64)
    if rounding == "rne" and not isinstance(shift, Tensor):
        odd = (u >> shift).bitwise_and_(1)
        y = odd.add_(u).add_((1 << (shift - 1)) - 1).bitwise_and_(-1 << shift)
        return torch.where(a < math.inf, y.view(a.dtype), a)
    quantum = torch.ones_like(u) << shift if isinstance(shift, Tensor) else 1 << shift
    low = u & (quantum - 1)
    if rounding == "rtz":
        y = u - low
    else:
        y = u - low + _carries(u, low, shift, quantum, rounding, random_bits).to(u.dtype) * quantum
    return torch.where(a < math.inf, y.view(a.dtype), a)


def _carries(
    u: Tensor, low: Tensor, shift: int | Tensor, quantum: int | Tensor, rounding: str, random_bits: Tensor | None
) -> Tensor:
    """Where the cleared bits round up."""
    if rounding == "rne":
        return 2 * low + ((u >> shift) & 1) > quantum
    if rounding == "rna":
        return 2 * low >= quantum
    r = drawn(random_bits).to(u.dtype)
    if isinstance(shift, Tensor):
        return low > (r << (shift - RANDOM_BITS).clamp(min=0)) >> (RANDOM_BITS - shift).clamp(min=0)
    return low > (r >> (RANDOM_BITS - shift) if shift < RANDOM_BITS else r << (shift - RANDOM_BITS))


def count(t: Tensor, rounding: str, random_bits: Tensor | None) -> Tensor:
    """Each t >= 0 to one of the two integers beside it. The fraction of t must be exact."""
    if rounding == "rne":
        return t.round()
    low = t.floor()
    rest = t - low
    if rounding == "rtz":
        return low
    if rounding == "rna":
        return low + (rest >= 0.5).to(t.dtype)
    return low + (rest > drawn(random_bits).to(t.dtype) * 2.0**-RANDOM_BITS).to(t.dtype)


def zero_or(smallest: float, a: Tensor, rounding: str, random_bits: Tensor | None) -> Tensor:
    """Each 0 <= a < smallest to zero or to smallest; half of it to zero under rne."""
    if rounding == "rtz":
        return torch.zeros_like(a)
    if rounding == "sr":
        up = a.double() > drawn(random_bits).double() * (smallest * 2.0**-RANDOM_BITS)
    else:
        up = a >= smallest / 2 if rounding == "rna" else a > smallest / 2
    return up.to(a.dtype) * smallest
