"""Omega surrogate: write what a learned map makes of key and value, with momentum, without asking the memory.

It goes by the name of Omega in some code but is not the Omega rule, whose error depends on the memory. The state M in
R^{K x V} is read as y = M^T q.
"""

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from training.affine import affine
from training.coefficients import coefficients, floored
from training.rules import Gates, Inner, with_inner
from training.rules.titans import State
from training.segments import whole_segments, with_rest

about = {
    "help": "write a learned map of key and value with momentum; not the Omega rule",
    "source": "a simplification of Behrouz et al. 2025, arXiv:2505.23735, without its error",
    "gates": {
        "log_retain": {"map": "logsigmoid", "bias": 4.0},
        "log_momentum": {"map": "logsigmoid", "bias": 1.5},
        "theta": {"map": "sigmoid", "bias": -2.0},
    },
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


def learned(inner: Inner, heads: int, K: int, V: int) -> dict[str, Tensor]:
    """The map of each head from key and value to what is written."""
    return {"write": torch.randn(heads, V, K + V) * (2 / (K + 2 * V)) ** 0.5}


def initial(inner: Inner, q_BHTK: Tensor, v_BHTV: Tensor) -> State:
    """An empty memory."""
    B, H, _, K = q_BHTK.shape
    zero = v_BHTV.new_zeros(B, H, K, v_BHTV.shape[-1])
    return State(zero, zero)


def step(inner: Inner, state: State, k_BHK: Tensor, v_BHV: Tensor, gates: Gates) -> State:
    """S' = eta S + theta k w^T, M' = (1 - alpha) M + S', w = W silu([k; v])"""
    w_BHV = written(inner, k_BHK[..., None, :], v_BHV[..., None, :]).squeeze(-2)
    new_BHKV = (gates["theta"][..., None] * k_BHK)[..., :, None] * w_BHV[..., None, :]
    S_BHKV = gates["log_momentum"].exp()[..., None, None] * state.S_BHKV + new_BHKV
    return State(gates["log_retain"].exp()[..., None, None] * state.M_BHKV + S_BHKV, S_BHKV)


def read(inner: Inner, state: State, q_BHK: Tensor) -> Tensor:
    """y = M^T q"""
    return (q_BHK[..., None, :] @ state.M_BHKV).squeeze(-2)


def written(inner: Inner, k_BHTK: Tensor, v_BHTV: Tensor) -> Tensor:
    """W silu([k; v]) -> [B, H, T, V]"""
    return functional.silu(torch.cat([k_BHTK, v_BHTV], -1)) @ inner.learned["write"].mT


def segment(
    inner: Inner, state: State, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTV: Tensor, gates: Gates, length: int
) -> tuple[Tensor, State]:
    """All T steps, `length` at once; exact, without a solve."""
    return with_rest(partial(whole, inner), state, q_BHTK, k_BHTK, written(inner, k_BHTK, v_BHTV), gates, length)


def whole(
    inner: Inner, state: State, q_BHTK: Tensor, k_BHTK: Tensor, w_BHTV: Tensor, gates: Gates, length: int
) -> tuple[Tensor, State]:
    """Segments of equal length; see `affine`."""
    q, k, w = (whole_segments(x, length) for x in (q_BHTK, k_BHTK, w_BHTV))
    c = coefficients(
        whole_segments(floored(gates["log_retain"]), length),
        whole_segments(floored(gates["log_momentum"]), length),
        whole_segments(gates["theta"], length),
    )
    before = inner.options["read_at"] == "before"
    y, M, S = affine(state.M_BHKV, state.S_BHKV, q, k, w, None, c, None, hebbian=True, reads_before=before)
    return y, State(M, S)


omega_surrogate = with_inner(about, initial=initial, step=step, read=read, segment=segment, learned=learned)
