"""Continuum memory: matrices of several paces; between its moves a level is only read, and gathers what to write.

Level n moves at every (first * ratio^n)-th token of a text, by gradients at the memory that it has been since its last
move; a move is then one step of all tokens gathered. A level may start anew after `reset` of its periods. What is read
is the sum of all levels, with learned shares. The state M in R^{K x V} is read as y = M^T q.
"""

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from training.coefficients import before, coefficients, floored
from training.rules import Gates, Inner, with_inner
from training.segments import cut, cut_gates

about = {
    "help": "several matrices, each written at a pace of its own",
    "source": "Behrouz et al. 2025, arXiv:2512.24695, equations 70 and 71 with memories for levels",
    "gates": {
        "log_retain_0": {"map": "logsigmoid", "bias": 4.0},
        "log_retain_1": {"map": "logsigmoid", "bias": 5.0},
        "log_retain_2": {"map": "logsigmoid", "bias": 6.0},
        "log_retain_3": {"map": "logsigmoid", "bias": 7.0},
        "theta_0": {"map": "sigmoid", "bias": -2.0},
        "theta_1": {"map": "sigmoid", "bias": -3.0},
        "theta_2": {"map": "sigmoid", "bias": -4.0},
        "theta_3": {"map": "sigmoid", "bias": -5.0},
    },
    "bias": "l2",
    "retention": "l2",
    "combines": {"bias": ["none", "l2", "dot", "lp", "huber"], "retention": ["none", "l2"]},
    "fields": {
        "levels": {"default": 2, "min": 1, "max": 4, "help": "memories"},
        "first": {"default": 8, "min": 1, "max": 4096, "help": "tokens between two moves of the fastest level"},
        "ratio": {"default": 8, "min": 2, "max": 64, "help": "period of a level over that of the next faster one"},
        "reset": {"default": 0, "min": 0, "max": 4096, "help": "periods after which a level starts anew; 0 for never"},
        "between": {
            "default": "still",
            "choices": ["still", "fades"],
            "help": "what a level does between its moves, when it is only read",
        },
        "bound": {
            "default": "stable",
            "choices": ["stable", "none"],
            "help": "cut theta where a key that fills a period would diverge",
        },
        "gradient": {"default": "full", "choices": ["full", "truncated"], "help": "of training: through all, or cut"},
        "truncate": {"default": 64, "min": 1, "max": 65536, "help": "tokens between cuts of a truncated gradient"},
    },
}

STABLE = 1.8
"""Largest sum of inner steps over a period of one key; frozen gradients diverge from 2 on."""


class State(NamedTuple):
    """Every level as it is read, and what it becomes at its next move: [B, H, N, K, V].

    place: int64 [B, H], tokens so far, the same for all rows and heads.
    """

    M_BHNKV: Tensor
    A_BHNKV: Tensor
    place: Tensor


def learned(inner: Inner, heads: int, K: int, V: int) -> dict[str, Tensor]:
    """What every level starts with, and the logits of the shares."""
    N = int(inner.options["levels"])
    return {"start": torch.randn(heads, N, K, V) * 0.02, "shares": torch.zeros(heads, N)}


def initial(inner: Inner, q_BHTK: Tensor, v_BHTV: Tensor) -> State:
    """The learned starts, a copy for each batch row."""
    B, H = q_BHTK.shape[:2]
    M = inner.learned["start"].expand(B, -1, -1, -1, -1)
    return State(M, M, torch.zeros(B, H, dtype=torch.int64, device=M.device))


def periods(inner: Inner) -> list[int]:
    """Tokens between two moves of each level."""
    first, ratio = int(inner.options["first"]), int(inner.options["ratio"])
    return [first * ratio**n for n in range(int(inner.options["levels"]))]


def gates_of(inner: Inner) -> list[str]:
    """The gates of the levels that there are."""
    return [name for name in inner.gates if int(name[-1]) < int(inner.options["levels"])]


def step(inner: Inner, state: State, k_BHK: Tensor, v_BHV: Tensor, gates: Gates) -> State:
    """A' = (1 - alpha) A - theta k (M^T k - v)^T; M' = A' where a period ends, else M, or (1 - alpha) M if it fades."""
    at, ends = int(state.place.flatten()[0]), []
    for n, period in enumerate(periods(inner)):
        M_KV, A_KV = renewed(inner, n, at, state.M_BHNKV[:, :, n], state.A_BHNKV[:, :, n])
        retain = floored(gates[f"log_retain_{n}"]).exp()[..., None, None]
        theta = bounded(inner, gates[f"theta_{n}"], k_BHK, period)[..., None, None]
        e_V = inner.error((k_BHK[..., None, :] @ M_KV).squeeze(-2), v_BHV)
        A_KV = retain * A_KV - theta * k_BHK[..., :, None] * e_V[..., None, :]
        if (at + 1) % period == 0:
            M_KV = A_KV
        elif inner.options["between"] == "fades":
            M_KV = retain * M_KV
        ends.append((M_KV, A_KV))
    M, A = (torch.stack(each, 2) for each in zip(*ends, strict=True))
    return State(M, A, state.place + 1)


def read(inner: Inner, state: State, q_BHK: Tensor) -> Tensor:
    """The shares of what each level gives."""
    shares_HN1 = inner.learned["shares"].softmax(-1)[..., None]
    return (shares_HN1 * (q_BHK[..., None, None, :] @ state.M_BHNKV).squeeze(-2)).sum(-2)


def renewed(inner: Inner, n: int, at: int, M_KV: Tensor, A_KV: Tensor) -> tuple[Tensor, Tensor]:
    """A level as a token finds it: its start, where the token is the first after a reset."""
    reset = int(inner.options["reset"]) * periods(inner)[n]
    if reset == 0 or at % reset:
        return M_KV, A_KV
    start = inner.learned["start"][:, n].expand_as(M_KV)
    return start, start


def bounded(inner: Inner, theta: Tensor, k: Tensor, period: int) -> Tensor:
    """The inner step within its bound, for moves by that many tokens."""
    if inner.options["bound"] == "none":
        return theta
    return torch.minimum(theta, STABLE / (period * k.square().sum(-1).clamp(min=1e-6)))


def segment(
    inner: Inner, state: State, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTV: Tensor, gates: Gates, length: int
) -> tuple[Tensor, State]:
    """All T steps, level by level, as many tokens at once as a level stands still for: `length` changes nothing."""
    at, T, ends, y_BHTV = int(state.place.flatten()[0]), k_BHTK.shape[2], [], torch.zeros_like(v_BHTV)
    shares_HN = inner.learned["shares"].softmax(-1)
    for n, period in enumerate(periods(inner)):
        M_KV, A_KV, outputs = state.M_BHNKV[:, :, n], state.A_BHNKV[:, :, n], []
        for start, stop in pairwise(sorted({0, *range(-at % period, T, period), T})):
            M_KV, A_KV = renewed(inner, n, at + start, M_KV, A_KV)
            tokens = cut((q_BHTK, k_BHTK, v_BHTV), start, stop)
            moves = (at + stop) % period == 0
            y_V, M_KV, A_KV = gathered(inner, n, M_KV, A_KV, *tokens, cut_gates(gates, start, stop), moves)
            outputs.append(y_V)
        y_BHTV = y_BHTV + shares_HN[:, n, None, None] * torch.cat(outputs, 2)
        ends.append((M_KV, A_KV))
    M, A = (torch.stack(each, 2) for each in zip(*ends, strict=True))
    return y_BHTV, State(M, A, state.place + T)


def gathered(
    inner: Inner,
    n: int,
    M_KV: Tensor,
    A_KV: Tensor,
    q_CK: Tensor,
    k_CK: Tensor,
    v_CV: Tensor,
    gates: Gates,
    moves: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Tokens of level n of which only the last may move it -> (what they read, M, A)."""
    theta_C = bounded(inner, gates[f"theta_{n}"], k_CK, periods(inner)[n])
    b_C, _, _, G_CC, _ = coefficients(floored(gates[f"log_retain_{n}"]), None, theta_C)
    left_C = b_C if inner.options["between"] == "fades" else torch.ones_like(b_C)
    E_CV = inner.error(before(left_C, 1.0, -1)[..., None] * (k_CK @ M_KV), v_CV)
    A_KV = b_C[..., -1, None, None] * A_KV - (G_CC[..., -1, :, None] * k_CK).mT @ E_CV
    y_CV = left_C[..., None] * (q_CK @ M_KV)
    if moves:
        return torch.cat([y_CV[:, :, :-1], q_CK[:, :, -1:] @ A_KV], 2), A_KV, A_KV
    return y_CV, left_C[..., -1, None, None] * M_KV, A_KV


continuum = with_inner(about, initial=initial, step=step, read=read, segment=segment, learned=learned, gates=gates_of)
