"""Gated delta rule: forget a little, then move what the key recalls towards the new value by a fraction beta.

The state S in R^{K x V} is the transpose of the papers' M: it is read as y = S^T q. The error is taken after the
decay, or before it. Keys are expected to have unit length; then 0 <= beta <= 1 is stable.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from training.rules import Gates, Inner, with_inner
from training.segments import future, in_segments, inverted, through

about = {
    "help": "gated delta rule: write what the key does not recall yet",
    "source": "Yang, Kautz, Hatamizadeh 2024, arXiv:2412.06464 (gated delta rule); Yang et al. 2024, arXiv:2406.06484",
    "gates": {"log_retain": {"map": "logsigmoid", "bias": 4.0}, "beta": {"map": "sigmoid", "bias": 0.0}},
    "combines": {"bias": ["none"], "retention": ["none"], "rule.norm_of_qk": ["l2"]},
    "strategies": ["step", "segment"],
    "fields": {
        "error_on": {
            "default": "post_decay",
            "choices": ["post_decay", "pre_decay"],
            "help": "whether the error is that of the memory after or before it fades",
            "later": True,
        },
        "read_at": {
            "default": "after",
            "choices": ["after", "before"],
            "help": "read after or before the write",
            "later": True,
        },
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

    S_BHKV: Tensor


def initial(inner: Inner, q_BHTK: Tensor, v_BHTV: Tensor) -> State:
    """An empty memory."""
    B, H, _, K = q_BHTK.shape
    return State(v_BHTV.new_zeros(B, H, K, v_BHTV.shape[-1]))


def step(inner: Inner, state: State, k_BHK: Tensor, v_BHV: Tensor, gates: Gates) -> State:
    """D = exp(log_retain) S; S' = D + beta k (v - D^T k)^T, or with the error before the decay, (v - S^T k)."""
    decayed_BHKV = gates["log_retain"].exp()[..., None, None] * state.S_BHKV
    known_BHKV = decayed_BHKV if faded(inner) else state.S_BHKV
    error_BHV = gates["beta"][..., None] * (v_BHV - recalled(known_BHKV, k_BHK))
    return State(decayed_BHKV + k_BHK[..., :, None] * error_BHV[..., None, :])


def read(inner: Inner, state: State, q_BHK: Tensor) -> Tensor:
    """y = S^T q"""
    return recalled(state.S_BHKV, q_BHK)


def recalled(S_BHKV: Tensor, k_BHK: Tensor) -> Tensor:
    """S^T k"""
    return (k_BHK[..., None, :] @ S_BHKV).squeeze(-2)


def faded(inner: Inner) -> bool:
    """Whether the error is taken after the decay, as a rule without the option does."""
    return inner.options.get("error_on", "post_decay") == "post_decay"


def segment(
    inner: Inner, state: State, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTV: Tensor, gates: Gates, length: int
) -> tuple[Tensor, State]:
    """All T steps, `length` at once, by one triangular solve (WY form); exact in exact arithmetic.

    Within a segment that starts with S_0, with a_t the sum of log_retain up to t and G_tj = exp(a_t - a_j) for j <= t
    (never above 1), the errors are U = X - Z S_0, where (I + strict_lower(beta G * K K^T)) (X, Z) = beta (V, exp(a) K).
    Then Y = exp(a) Q S_0 + lower(G * Q K^T) U, and the next segment starts with exp(a_C) S_0 + (exp(a_C - a) K)^T U.
    An error or a read before the token's own decay has a_(t-1) in the place of a_t and j < t.
    Only this last line is a loop.
    """
    T = k_BHTK.shape[2]
    q, k, v, beta, log_retain = (
        in_segments(x, min(length, T)) for x in (q_BHTK, k_BHTK, v_BHTV, gates["beta"], gates["log_retain"])
    )
    a_BHNC1 = log_retain.cumsum(-2)
    after = decays(a_BHNC1, a_BHNC1, 1)
    before = after if faded(inner) and not reads_before(inner) else decays(a_BHNC1 - log_retain, a_BHNC1, 0)
    decay_BHNC1, G_BHNCC = after if faded(inner) else before
    inverse = inverted(beta * G_BHNCC * (k @ k.mT))
    X, Z = inverse @ (beta * v), inverse @ (beta * decay_BHNC1 * k)
    decay_BHNC1, G_BHNCC = before if reads_before(inner) else after
    last_BHN11 = a_BHNC1[..., -1:, :]
    starts, U, S_BHKV = through(state.S_BHKV, Z, X, ((last_BHN11 - a_BHNC1).exp() * k).mT, last_BHN11.exp())
    y_BHNCV = (decay_BHNC1 * q) @ starts + (G_BHNCC * (q @ k.mT)) @ U
    return y_BHNCV.flatten(2, 3)[:, :, :T], State(S_BHKV)


def reads_before(inner: Inner) -> bool:
    """Whether a value is read before its token is written."""
    return inner.options["read_at"] == "before"


def decays(at_BHNC1: Tensor, a_BHNC1: Tensor, diagonal: int) -> tuple[Tensor, Tensor]:
    """What is left, where it is looked at, of the segment's start and of each token's write: [.., C, 1], [.., C, C]."""
    hidden_CC = future(a_BHNC1, diagonal)
    return at_BHNC1.exp(), (at_BHNC1 - a_BHNC1.mT).masked_fill(hidden_CC, -torch.inf).exp()


delta = with_inner(about, initial=initial, step=step, read=read, segment=segment)
