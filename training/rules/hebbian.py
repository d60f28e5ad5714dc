"""Hebbian rule: forget a little, then add the outer product of key and value, whatever is known already.

The state M in R^{K x V} is the transpose of the papers': it is read as y = M^T q. Gated linear attention.
"""

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from training.coefficients import before, coefficients, floored
from training.rules import Gates, Inner, with_inner
from training.scans import starts_and_end
from training.segments import whole_segments, with_rest

about = {
    "help": "add every key and value: gated linear attention",
    "source": "Behrouz, Zhong, Mirrokni 2025, arXiv:2501.00663, section 3; Yang et al. 2023, arXiv:2312.06635",
    "gates": {"log_retain": {"map": "logsigmoid", "bias": 4.0}, "theta": {"map": "sigmoid", "bias": 0.0}},
    "strategies": ["segment", "step", "scan"],
    "bias": "dot",
    "combines": {"bias": ["none", "dot"], "retention": ["none", "l2"]},
    "fields": {
        "read_at": {"default": "after", "choices": ["after", "before"], "help": "read after or before the write"},
        "gradient": {
            "default": "full",
            "choices": ["full", "truncated"],
            "help": "of training: through all tokens, or cut",
            "later": True,
        },
        "truncate": {
            "default": 64,
            "min": 1,
            "max": 65536,
            "help": "tokens between cuts of a truncated gradient",
            "later": True,
        },
    },
}


class State(NamedTuple):
    """The matrix memory of every batch row and head."""

    M_BHKV: Tensor


def initial(inner: Inner, q_BHTK: Tensor, v_BHTV: Tensor) -> State:
    """An empty memory."""
    B, H, _, K = q_BHTK.shape
    return State(v_BHTV.new_zeros(B, H, K, v_BHTV.shape[-1]))


def step(inner: Inner, state: State, k_BHK: Tensor, v_BHV: Tensor, gates: Gates) -> State:
    """M' = (1 - alpha) M + theta k v^T"""
    written_BHKV = (gates["theta"][..., None] * k_BHK)[..., :, None] * v_BHV[..., None, :]
    return State(gates["log_retain"].exp()[..., None, None] * state.M_BHKV + written_BHKV)


def read(inner: Inner, state: State, q_BHK: Tensor) -> Tensor:
    """y = M^T q"""
    return (q_BHK[..., None, :] @ state.M_BHKV).squeeze(-2)


def segment(
    inner: Inner, state: State, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTV: Tensor, gates: Gates, length: int
) -> tuple[Tensor, State]:
    """All T steps, `length` at once: a masked product of queries and keys, and what the segment began with."""
    return with_rest(partial(whole, inner), state, q_BHTK, k_BHTK, v_BHTV, gates, length)


def whole(
    inner: Inner, state: State, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTV: Tensor, gates: Gates, length: int
) -> tuple[Tensor, State]:
    """Y = b Q M_0 + (G * Q K^T) V, M_C = b_C M_0 + K^T G_C V with the coefficients b, G; segments of equal length."""
    q, k, v = (whole_segments(x, length) for x in (q_BHTK, k_BHTK, v_BHTV))
    log_retain, theta = whole_segments(floored(gates["log_retain"]), length), whole_segments(gates["theta"], length)
    b, _, _, G, _ = coefficients(log_retain, None, theta)
    at_read = (b, G) if inner.options["read_at"] == "after" else (before(b, 1.0, -1), before(G, 0.0, -2))
    written_BHNKV = (G[..., -1, :, None] * k).mT @ v
    passed = scanned if inner.strategy == "scan" else one_by_one
    starts_BHNKV, M = passed(b[..., -1, None, None], written_BHNKV, state.M_BHKV)
    y = (at_read[0][..., None] * q) @ starts_BHNKV + (at_read[1] * (q @ k.mT)) @ v
    return y.flatten(2, 3), State(M)


def one_by_one(decay_BHN11: Tensor, written_BHNKV: Tensor, M_BHKV: Tensor) -> tuple[Tensor, Tensor]:
    """The memory at the start of every segment, and after the last, one after the other."""
    starts = []
    for decay, new in zip(decay_BHN11.unbind(2), written_BHNKV.unbind(2), strict=True):
        starts.append(M_BHKV)
        M_BHKV = decay * M_BHKV + new
    return torch.stack(starts, 2), M_BHKV


def scanned(decay_BHN11: Tensor, written_BHNKV: Tensor, M_BHKV: Tensor) -> tuple[Tensor, Tensor]:
    """The same by an associative scan."""
    starts, end = starts_and_end(decay_BHN11, written_BHNKV.flatten(3).unsqueeze(3), M_BHKV.flatten(2).unsqueeze(2))
    return starts.view_as(written_BHNKV), end.view_as(M_BHKV)


hebbian = with_inner(about, initial=initial, step=step, read=read, segment=segment)
