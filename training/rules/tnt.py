"""TNT: one global memory, written in large chunks, and local ones that start anew, from a learned start, every shard.

All shards are computed side by side. Gradients are frozen for a chunk. Locals are read by queries that are projected on
the keys of the shard so far. Chunks and shards are counted from the start of a text, wherever it is cut.
"""

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from training.coefficients import coefficients, floored
from training.rules import Gates, Inner, with_inner
from training.segments import cut, cut_gates

about = {
    "help": "a global memory and local ones that start anew every shard (hierarchy of matrices)",
    "source": "Li et al. 2025, arXiv:2511.07343 (TNT); projection of queries reset with the shard, as in its appendix",
    "gates": {
        "log_retain": {"map": "logsigmoid", "bias": 4.0},
        "theta": {"map": "sigmoid", "bias": -3.0},
        "theta_global": {"map": "sigmoid", "bias": -4.0},
    },
    "bias": "l2",
    "retention": "l2",
    "combines": {"bias": ["none", "l2"], "retention": ["none", "l2"]},
    "fields": {
        "locals": {
            "default": 1,
            "min": 1,
            "max": 4,
            "help": "local memories; each has twice the chunk of the one before",
        },
        "chunk": {"default": 8, "min": 1, "max": 256, "help": "tokens in a chunk of the first local memory"},
        "shard": {"default": 8, "min": 1, "max": 4096, "help": "chunks of the last local memory in a shard"},
        "period": {"default": 64, "min": 1, "max": 65536, "help": "tokens between two updates of the global memory"},
        "second": {
            "default": 0.0,
            "min": 0.0,
            "max": 1.0,
            "help": "last part of the budget, and all scoring after it, that has chunks of `second_chunk` in the first",
            "later": True,
        },
        "second_chunk": {
            "default": 1,
            "min": 1,
            "max": 256,
            "help": "tokens in a chunk of the first local memory in the second stage; shards keep their tokens",
            "later": True,
        },
        "project": {
            "default": "mean",
            "choices": ["mean", "sum", "none"],
            "help": "queries of locals times the mean of k k^T over the shard so far, or its printed sum, or bare",
        },
        "bound": {
            "default": "stable",
            "choices": ["stable", "none"],
            "help": "cut theta where a key that fills a chunk would diverge",
        },
        "read_at": {
            "default": "after",
            "choices": ["after", "chunk_start"],
            "help": "read locals after the write, or as they were when their chunk began",
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

STABLE = 1.8
"""Largest sum of inner steps over a chunk of one key; frozen gradients diverge from 2 on."""


class State(NamedTuple):
    """Global memory V and what it becomes, N; locals W, and F when their chunk began; P of the keys of the shard.

    place: int64 [B, H], tokens so far, the same for all rows and heads. N in a shape counts the locals.
    """

    V_BHKV: Tensor
    N_BHKV: Tensor
    W_BHNKV: Tensor
    F_BHNKV: Tensor
    P_BHKK: Tensor
    place: Tensor


class Local(NamedTuple):
    """The part of the state that a shard starts anew."""

    W_BHNKV: Tensor
    F_BHNKV: Tensor
    P_BHKK: Tensor


def learned(inner: Inner, heads: int, K: int, V: int) -> dict[str, Tensor]:
    """What every shard starts with."""
    return {"start": torch.randn(heads, int(inner.options["locals"]), K, V) * 0.02}


def initial(inner: Inner, q_BHTK: Tensor, v_BHTV: Tensor) -> State:
    """An empty global memory at the start of a shard."""
    B, H, _, K = q_BHTK.shape
    zero, place = (
        v_BHTV.new_zeros(B, H, K, v_BHTV.shape[-1]),
        torch.zeros(B, H, dtype=torch.int64, device=q_BHTK.device),
    )
    return State(zero, zero, *fresh(inner, B, K), place)


def fresh(inner: Inner, rows: int, K: int) -> Local:
    """The start of a shard."""
    start = inner.learned["start"]
    W = start.expand(rows, *start.shape)
    return Local(W, W, start.new_zeros(rows, start.shape[0], K, K))


def chunks(inner: Inner) -> list[int]:
    """Tokens in a chunk of each local memory, in the stage that training has come to."""
    first = int(inner.options["second_chunk" if inner.stage == 2 else "chunk"])
    return [first * 2**n for n in range(int(inner.options["locals"]))]


def shard(inner: Inner) -> int:
    """Tokens in a shard; chunks are counted from its start, and its end may cut one short."""
    largest = int(inner.options["chunk"]) << (int(inner.options["locals"]) - 1)
    return largest * int(inner.options["shard"])


def step(inner: Inner, state: State, k_BHK: Tensor, v_BHV: Tensor, gates: Gates) -> State:
    """N' = N - theta_g k (V^T k - v)^T, W' = (1 - alpha) W - theta k (F^T k - v)^T, P' = P + k k^T / k.k"""
    V, after, W, F, P, place = begun(inner, state)
    k, unit = k_BHK[..., :, None], functional.normalize(k_BHK, dim=-1)
    error_BHV, errors_BHNV = (k.mT @ V).squeeze(-2) - v_BHV, (k[:, :, None].mT @ F).squeeze(-2) - v_BHV[:, :, None]
    theta = bounded(inner, gates["theta_global"], k_BHK, int(inner.options["period"]))
    after = after - theta[..., None, None] * k * error_BHV[..., None, :]
    thetas = torch.stack([bounded(inner, gates["theta"], k_BHK, chunk) for chunk in chunks(inner)], -1)
    written = thetas[..., None, None] * k[:, :, None] * errors_BHNV[..., None, :]
    W = floored(gates["log_retain"]).exp()[..., None, None, None] * W - written
    return State(V, after, W, F, P + unit[..., :, None] * unit[..., None, :], place + 1)


def bounded(inner: Inner, theta: Tensor, k: Tensor, chunk: int) -> Tensor:
    """The inner step within its bound, for chunks of that many tokens."""
    if inner.options["bound"] == "none":
        return theta
    return torch.minimum(theta, STABLE / (chunk * k.square().sum(-1).clamp(min=1e-6)))


def begun(inner: Inner, state: State) -> State:
    """The state as a token finds it: what ends or begins with this token has done so."""
    V, after, W, F, P, place = state
    at = int(place.flatten()[0])
    if at % shard(inner) == 0:
        W, F, P = fresh(inner, len(W), P.shape[-1])
    begins = torch.tensor([at % shard(inner) % chunk == 0 for chunk in chunks(inner)], device=W.device)
    F = torch.where(begins[:, None, None], W, F)
    return State(after if at % int(inner.options["period"]) == 0 else V, after, W, F, P, place)


def read(inner: Inner, state: State, q_BHK: Tensor) -> Tensor:
    """V^T q + sum_n W_n^T P q, P the sum of k k^T over the shard so far or its mean"""
    q = q_BHK[..., None, :]
    projected = q
    if inner.options["project"] != "none":
        projected = q @ state.P_BHKK / counted(inner, (state.place[..., None, None] - 1) % shard(inner) + 1)
    weights = (state.W_BHNKV if inner.options["read_at"] == "after" else state.F_BHNKV).sum(-3)
    return (q @ state.V_BHKV + projected @ weights).squeeze(-2)


def counted(inner: Inner, count: Tensor) -> Tensor | float:
    """What the sum over `count` keys is divided by."""
    return count if inner.options["project"] == "mean" else 1.0


def segment(
    inner: Inner, state: State, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTV: Tensor, gates: Gates, length: int
) -> tuple[Tensor, State]:
    """All T steps: the rest of a shard that has begun, then whole shards side by side, then the beginning of one."""
    T, size, at = k_BHTK.shape[2], shard(inner), int(state.place.flatten()[0])
    first = min(T, -at % size)
    last = first + (T - first) // size * size
    tokens, local = (q_BHTK, k_BHTK, v_BHTV), Local(*state[2:5])
    outputs = []
    if first:
        y, local = through(inner, local, at % size, *cut(tokens, 0, first), cut_gates(gates, 0, first))
        outputs.append(y)
    if last > first:
        y, local = side_by_side(inner, size, cut(tokens, first, last), cut_gates(gates, first, last))
        outputs.append(y)
    if last < T:
        begin = fresh(inner, len(q_BHTK), q_BHTK.shape[-1])
        y, local = through(inner, begin, 0, *cut(tokens, last, T), cut_gates(gates, last, T))
        outputs.append(y)
    y_BHTV, V, after = through_global(inner, state, at, *tokens, gates)
    return y_BHTV + torch.cat(outputs, 2), State(V, after, *local, state.place + T)


def side_by_side(inner: Inner, size: int, tokens: tuple[Tensor, Tensor, Tensor], gates: Gates) -> tuple[Tensor, Local]:
    """Whole shards, each a row of a larger batch -> (outputs, the end of the last shard)."""
    B, H, T, K = tokens[0].shape

    def rows(x: Tensor) -> Tensor:
        return x.view(B, H, T // size, size, *x.shape[3:]).transpose(1, 2).flatten(0, 1)

    q, k, v = (rows(x) for x in tokens)
    y, local = through(inner, fresh(inner, len(q), K), 0, q, k, v, {name: rows(gate) for name, gate in gates.items()})
    ends = (x.view(B, T // size, *x.shape[1:])[:, -1] for x in local)
    return y.view(B, T // size, H, size, -1).transpose(1, 2).flatten(2, 3), Local(*ends)


def through(inner: Inner, local: Local, at: int, q: Tensor, k: Tensor, v: Tensor, gates: Gates) -> tuple[Tensor, Local]:
    """Tokens of one shard, the first of them `at` tokens after its start, through every local memory."""
    unit = functional.normalize(k, dim=-1)
    projected = q
    if inner.options["project"] != "none":
        count_T1 = torch.arange(at + 1, at + 1 + q.shape[2], device=q.device)[:, None]
        projected = (q @ local.P_BHKK + (q @ unit.mT).tril() @ unit) / counted(inner, count_T1)
    ends, outputs = [], []
    for n, chunk in enumerate(chunks(inner)):
        W, F = local.W_BHNKV[:, :, n], local.F_BHNKV[:, :, n]
        parts = []
        for start, stop in pairwise(edges(at, q.shape[2], chunk)):
            F = W if (at + start) % chunk == 0 else F
            x, k_n, v_n = cut((projected, k, v), start, stop)
            gate = cut_gates(gates, start, stop)
            b, _, _, G, _ = coefficients(floored(gate["log_retain"]), None, bounded(inner, gate["theta"], k_n, chunk))
            E = k_n @ F - v_n
            after = inner.options["read_at"] == "after"
            parts.append(b[..., None] * (x @ W) - (G * (x @ k_n.mT)) @ E if after else x @ F)
            W = b[..., -1:, None] * W - (G[..., -1, :, None] * k_n).mT @ E
        outputs.append(torch.cat(parts, 2))
        ends.append((W, F))
    W_BHNKV, F_BHNKV = (torch.stack(each, 2) for each in zip(*ends, strict=True))
    return torch.stack(outputs).sum(0), Local(W_BHNKV, F_BHNKV, local.P_BHKK + unit.mT @ unit)


def through_global(
    inner: Inner, state: State, at: int, q: Tensor, k: Tensor, v: Tensor, gates: Gates
) -> tuple[Tensor, Tensor, Tensor]:
    """All tokens through the global memory -> (outputs, the memory, what it becomes)."""
    V, after, period, outputs = state.V_BHKV, state.N_BHKV, int(inner.options["period"]), []
    for start, stop in pairwise(edges(at, q.shape[2], period)):
        V = after if (at + start) % period == 0 else V
        q_n, k_n, v_n = cut((q, k, v), start, stop)
        outputs.append(q_n @ V)
        theta = bounded(inner, gates["theta_global"][:, :, start:stop], k_n, period)
        after = after - (theta[..., None] * k_n).mT @ (k_n @ V - v_n)
    return torch.cat(outputs, 2), V, after


def edges(at: int, T: int, size: int) -> list[int]:
    """Where T tokens, the first of them the at-th, are cut so that no part crosses a multiple of `size`."""
    return sorted({0, *range(-at % size, T, size), T})


tnt = with_inner(about, initial=initial, step=step, read=read, segment=segment, learned=learned)
