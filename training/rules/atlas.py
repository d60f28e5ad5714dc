"""Atlas: at every token the memory learns again from the last `window` tokens, each with its own weight.

The state M in R^{K x V} is the transpose of the papers': it is read as y = M^T q. The last window - 1 tokens are part
of the state, so that no boundary cuts a window short.
"""

from functools import partial
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from training.affine import affine
from training.coefficients import coefficients, floored
from training.faded import faded
from training.newton_schulz import near_orthogonal
from training.rules import Gates, Inner, with_inner
from training.segments import cut, cut_gates, whole_segments, with_rest
from training.stability import bounded

about = {
    "help": "learn at every token from a window of tokens (Omega rule), with momentum",
    "source": "Behrouz et al. 2025, arXiv:2505.23735, equations 9 to 11 and 31",
    "gates": {
        "log_retain": {"map": "logsigmoid", "bias": 4.0},
        "log_momentum": {"map": "logsigmoid", "bias": 1.0},
        "theta": {"map": "sigmoid", "bias": -1.0},
        "gamma": {"map": "sigmoid", "bias": 1.0},
    },
    "bias": "l2",
    "retention": "l2",
    "combines": {
        "rule.norm_of_qk": ["l2"],
        "bias": ["none", "l2", "dot", "lp", "huber"],
        "retention": ["none", "l2", "elastic_net", "sphere", "kl"],
    },
    "fields": {
        "window": {"default": 4, "min": 1, "max": 64, "help": "tokens that every step learns from"},
        "newton_schulz": {
            "default": False,
            "help": "move by theta times the momentum with singular values near one; token by token",
        },
        "ns_every": {
            "default": 1,
            "min": 1,
            "max": 1024,
            "help": "with newton_schulz: tokens, from a text's start, between two moves of the memory",
            "later": True,
        },
        "ns_grad": {
            "default": "unroll",
            "choices": ["unroll", "straight"],
            "help": "gradient of newton_schulz: through its products, or as if it were not there",
            "later": True,
        },
        "read_at": {"default": "after", "choices": ["after", "before"], "help": "read after or before the write"},
        "bound": {
            "default": "stable",
            "choices": ["stable", "calm", "none"],
            "help": "cut theta where a repeated key would diverge, or where it would oscillate",
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

MOST_ROWS = 32
"""Window times tokens of a segment: the solve grows with its cube; measured fastest on CPU among 32, 64, 128."""


class State(NamedTuple):
    """Memory, momentum, and the tokens W = window - 1 that the next windows reach back to; gamma is 0 for none.

    keys: [B, H, W, K]. values: [B, H, W, V]. gammas: [B, H, W]. place: int64 [B, H], tokens since the memory last moved
    by Newton-Schulz, the same for all rows and heads.
    """

    M_BHKV: Tensor
    S_BHKV: Tensor
    keys: Tensor
    values: Tensor
    gammas: Tensor
    place: Tensor


def initial(inner: Inner, q_BHTK: Tensor, v_BHTV: Tensor) -> State:
    """An empty memory that has seen no token."""
    (B, H, _, K), V, W = q_BHTK.shape, v_BHTV.shape[-1], int(inner.options["window"]) - 1
    zero = v_BHTV.new_zeros(B, H, K, V)
    new, place = v_BHTV.new_zeros, torch.zeros(B, H, dtype=torch.int64, device=v_BHTV.device)
    return State(inner.retention.start(zero.mT).mT, zero, new(B, H, W, K), new(B, H, W, V), new(B, H, W), place)


def step(inner: Inner, state: State, k_BHK: Tensor, v_BHV: Tensor, gates: Gates) -> State:
    """S' = eta S - theta sum_i gamma_i / window k_i e_i^T, M' = (1 - alpha) M + S', e_i = M^T k_i - v_i.

    With Newton-Schulz theta moves to the second: M' = (1 - alpha) M + theta NS(S') at every `ns_every`-th token of a
    text, and M' = (1 - alpha) M at the others.
    """
    k, v, gamma = joined(state, k_BHK[..., None, :], v_BHV[..., None, :], gates["gamma"][..., None])
    theta, orthogonal = theta_of(inner, gates)[..., None, None], inner.options["newton_schulz"]
    W_VK = inner.retention.weights(state.M_BHKV.mT)
    error = inner.error(k @ W_VK.mT, v) * gamma[..., None] / int(inner.options["window"])
    gradient_KV = inner.retention.direct(W_VK, error.mT @ k).mT
    S = gates["log_momentum"].exp()[..., None, None] * state.S_BHKV - gradient_KV * (1.0 if orthogonal else theta)
    moved, place = gates["log_retain"].exp()[..., None, None] * state.M_BHKV, state.place
    if not orthogonal:
        moved = moved + S
    else:
        place = (place + 1) % int(inner.options["ns_every"])
        moved = moved + theta * pushed(inner, S) if not int(place.flatten()[0]) else moved
    return State(inner.retention.settle(moved.mT).mT, S, k[..., 1:, :], v[..., 1:, :], gamma[..., 1:], place)


def pushed(inner: Inner, S_BHKV: Tensor) -> Tensor:
    """The momentum with singular values near one; under `straight` its gradient is the momentum's own."""
    if inner.options["ns_grad"] == "unroll":
        return near_orthogonal(S_BHKV)
    return S_BHKV + (near_orthogonal(S_BHKV) - S_BHKV).detach()


def read(inner: Inner, state: State, q_BHK: Tensor) -> Tensor:
    """y = M^T q"""
    return (inner.retention.weights(state.M_BHKV.mT) @ q_BHK[..., None]).squeeze(-1)


def joined(state: State, k: Tensor, v: Tensor, gamma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The tokens that are remembered, and the new ones after them."""
    return torch.cat([state.keys, k], 2), torch.cat([state.values, v], 2), torch.cat([state.gammas, gamma], 2)


def theta_of(inner: Inner, gates: Gates) -> Tensor:
    """The inner step within its bound for keys of unit length; weights of a window sum to no more than one."""
    if inner.options["newton_schulz"]:
        return gates["theta"]
    unit = torch.ones_like(gates["theta"])[..., None]
    return bounded(gates["theta"], gates["log_retain"], gates["log_momentum"], unit, str(inner.options["bound"]))


def segment(
    inner: Inner, state: State, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTV: Tensor, gates: Gates, length: int
) -> tuple[Tensor, State]:
    """All T steps: a triangular solve over every pair of a token and a write of its window; exact."""
    if inner.options["newton_schulz"]:
        return between_moves(inner, state, q_BHTK, k_BHTK, v_BHTV, gates)
    length = min(length, max(1, MOST_ROWS // int(inner.options["window"])))
    return with_rest(partial(whole, inner), state, q_BHTK, k_BHTK, v_BHTV, gates, length)


def between_moves(
    inner: Inner, state: State, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTV: Tensor, gates: Gates
) -> tuple[Tensor, State]:
    """All T steps, as many tokens at once as lie between two moves: till then the memory only fades."""
    every, T = int(inner.options["ns_every"]), k_BHTK.shape[2]
    first = every - int(state.place.flatten()[0])
    edges, outputs = sorted({0, *range(first, T, every), T}), []
    for start, stop in pairwise(edges):
        tokens = cut((q_BHTK, k_BHTK, v_BHTV), start, stop)
        y_BHTV, state = till_move(inner, state, *tokens, cut_gates(gates, start, stop))
        outputs.append(y_BHTV)
    return torch.cat(outputs, 2), state


def till_move(inner: Inner, state: State, q: Tensor, k: Tensor, v: Tensor, gates: Gates) -> tuple[Tensor, State]:
    """Tokens of which only the last may move the memory."""
    window, C = int(inner.options["window"]), k.shape[2]
    keys, values, gamma = joined(state, k, v, gates["gamma"])
    writes = (keys.unfold(2, window, 1).mT, values.unfold(2, window, 1).mT, gamma.unfold(2, window, 1) / window)
    logs = (gates["log_retain"], gates["log_momentum"])
    y, y_before, M, S = faded(state.M_BHKV, state.S_BHKV, q, *writes, *logs, inner.error)
    place = (state.place + C) % int(inner.options["ns_every"])
    if not int(place.flatten()[0]):
        M = M + gates["theta"][..., -1, None, None] * pushed(inner, S)
        y = torch.cat([y[:, :, :-1], q[:, :, -1:] @ M], 2)
    y = y_before if inner.options["read_at"] == "before" else y
    return y, State(M, S, keys[:, :, C:], values[:, :, C:], gamma[:, :, C:], place)


def whole(
    inner: Inner, state: State, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTV: Tensor, gates: Gates, length: int
) -> tuple[Tensor, State]:
    """Segments of equal length; see `affine`."""
    window = int(inner.options["window"])
    k, v, gamma = joined(state, k_BHTK, v_BHTV, gates["gamma"])
    pairs_k, pairs_v = (whole_segments(x.unfold(2, window, 1).mT, length).flatten(3, 4) for x in (k, v))
    weights = whole_segments(gamma.unfold(2, window, 1), length).flatten(3, 4) / window
    log_retain, log_momentum = (whole_segments(floored(gates[x]), length) for x in ("log_retain", "log_momentum"))
    c = coefficients(log_retain, log_momentum, whole_segments(theta_of(inner, gates), length))
    kind = {"hebbian": inner.named["bias"] == "dot", "reads_before": inner.options["read_at"] == "before"}
    q = whole_segments(q_BHTK, length)
    y_BHTV, M, S = affine(state.M_BHKV, state.S_BHKV, q, pairs_k, pairs_v, weights, c, None, **kind)
    T = k_BHTK.shape[2]
    return y_BHTV, State(M, S, k[:, :, T:], v[:, :, T:], gamma[:, :, T:], state.place)


def exact(inner: Inner) -> bool:
    """Whether the errors are affine in the memory and the memory in its momentum, or tokens only let it fade."""
    if inner.options["newton_schulz"]:
        return int(inner.options["ns_every"]) > 1 and inner.named["retention"] == "l2"
    return inner.named["bias"] in ("l2", "dot") and inner.named["retention"] == "l2"


atlas = with_inner(about, initial=initial, step=step, read=read, segment=segment, segments=exact)
