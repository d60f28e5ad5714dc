"""Frozen rules over a small network: within a period of tokens every gradient is taken at the weights it began with.

This is a rule of its own, not the fast form of another: `step` keeps the weights that the period began with, and
`segment` computes the same without ever forming the weights of a token (the dual form). Periods are counted from the
start of a text, wherever it is cut.
"""

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from plugins import About
from training.coefficients import FLOOR, coefficients, floored
from training.network import normed, outward, recall
from training.networks import initial as live_initial
from training.networks import is_wrapped, learned, moved, per_unit, signals
from training.rules import Gates, Inner, MemoryRule, with_inner
from training.segments import cut, cut_gates


class State(NamedTuple):
    """Accumulators and momentum of both layers; the accumulators that the period began with; tokens into the period.

    place: int64 [B, H], the same for all rows and heads.
    """

    A1_BHUI: Tensor
    A2_BHOU: Tensor
    S1_BHUI: Tensor
    S2_BHOU: Tensor
    F1_BHUI: Tensor
    F2_BHOU: Tensor
    place: Tensor


def frozen_rule(about: About) -> MemoryRule:
    """The rule of a header in its dual form."""
    return with_inner(about, initial=initial, step=step, read=read, segment=segment, learned=learned)


def initial(inner: Inner, q_BHTK: Tensor, v_BHTV: Tensor) -> State:
    """The learned weights at the start of a period."""
    A1, A2, S1, S2 = live_initial(inner, q_BHTK, v_BHTV)
    return State(A1, A2, S1, S2, A1, A2, torch.zeros(A1.shape[:2], dtype=torch.int64, device=A1.device))


def step(inner: Inner, state: State, k_BHK: Tensor, v_BHV: Tensor, gates: Gates) -> State:
    """As `training.networks.step`, with gradients at the weights of F; what has been written settles with a period."""
    A1, A2, S1, S2, F1, F2, place = begun(inner, state)
    W1, W2 = inner.retention.weights(F1), inner.retention.weights(F2)
    D, E, hidden = gained(inner, signals(inner, W1, W2, k_BHK[..., None, :], v_BHV[..., None, :]), W1)
    local, gates = 2 * float(inner.options.get("local", 0.0)), per_unit(gates, W1.shape[-2])
    gates = {**gates, "log_retain": fading(inner, gates)}
    A1, S1 = moved(A1, S1, D.mT * k_BHK[..., None, :] - local * F1, gates)
    A2, S2 = moved(A2, S2, E.mT * hidden - local * F2, gates)
    return State(A1, A2, S1, S2, F1, F2, (place + 1) % int(inner.options["period"]))


def read(inner: Inner, state: State, q_BHK: Tensor) -> Tensor:
    """What the network says to the query: as it is now, or as it was when the period began."""
    q, wrapped = q_BHK[..., None, :], is_wrapped(inner)
    if inner.options["read_at"] == "chunk_start":
        W1, W2 = inner.retention.weights(state.F1_BHUI), inner.retention.weights(state.F2_BHOU)
    else:
        W1, W2 = scale(inner, state.F1_BHUI) * state.A1_BHUI, scale(inner, state.F2_BHOU) * state.A2_BHOU
    return recall(W1, W2, q, wrapped)[0].squeeze(-2)


def segment(
    inner: Inner, state: State, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTV: Tensor, gates: Gates, length: int
) -> tuple[Tensor, State]:
    """All T steps, a period at once: `length` changes nothing."""
    period, T = int(inner.options["period"]), k_BHTK.shape[2]
    first = (period - int(state.place.flatten()[0])) % period
    edges = sorted({0, *range(first, T, period), T})
    outputs = []
    for start, stop in pairwise(edges):
        tokens = cut((q_BHTK, k_BHTK, v_BHTV), start, stop)
        y_BHTV, state = part(inner, state, *tokens, cut_gates(gates, start, stop))
        outputs.append(y_BHTV)
    return torch.cat(outputs, 2), state


def part(inner: Inner, state: State, q: Tensor, k: Tensor, v: Tensor, gates: Gates) -> tuple[Tensor, State]:
    """Tokens of one period: with coefficients b, f, m, G, N the weights of token t are
    b_t A_0 + f_t S_0 - sum_j G_tj g_j, g_j a product of two vectors, so that they are only ever met by a query."""
    A1, A2, S1, S2, F1, F2, place = begun(inner, state)
    W1, W2 = inner.retention.weights(F1), inner.retention.weights(F2)
    D, E, hidden = gained(inner, signals(inner, W1, W2, k, v), W1)
    gates = per_unit(gates, W1.shape[-2])
    log_momentum = floored(gates["log_momentum"]) if "log_momentum" in gates else None
    b, f, m, G, N = coefficients(floored(fading(inner, gates)), log_momentum, gates["theta"])
    local = 2 * float(inner.options.get("local", 0.0))

    def met(x: Tensor, A: Tensor, S: Tensor, F: Tensor, keys: Tensor, signal: Tensor) -> Tensor:
        own = b[..., None] * (x @ A.mT) - (G * (x @ keys.mT)) @ signal
        if log_momentum is not None:
            own = own + f[..., None] * (x @ S.mT)
        return own + (local * G.sum(-1, keepdim=True)) * (x @ F.mT) if local else own

    def ended(A: Tensor, S: Tensor, F: Tensor, keys: Tensor, signal: Tensor) -> tuple[Tensor, Tensor]:
        last = b[..., -1, None, None] * A - (G[..., -1, :, None] * signal).mT @ keys
        if log_momentum is not None:
            last = last + f[..., -1, None, None] * S
            S = m[..., -1, None, None] * S - (N[..., -1, :, None] * signal).mT @ keys
        return last + (local * G[..., -1, :].sum(-1))[..., None, None] * F if local else last, S

    if inner.options["read_at"] == "chunk_start":
        y = recall(W1, W2, q, is_wrapped(inner))[0]
    else:
        z = scale(inner, F1) * met(q, A1, S1, F1, k, D)
        _, hidden_q, _ = outward(z, W2)
        y = scale(inner, F2) * met(hidden_q, A2, S2, F2, hidden, E)
        y = q + normed(y)[0] if is_wrapped(inner) else y
    (A1, S1), (A2, S2) = ended(A1, S1, F1, k, D), ended(A2, S2, F2, hidden, E)
    return y, State(A1, A2, S1, S2, F1, F2, (place + k.shape[2]) % int(inner.options["period"]))


def gained(inner: Inner, given: tuple[Tensor, Tensor, Tensor], W1_UI: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The signals with the gains of the retention for both layers."""
    D_NU, E_NO, hidden_NU = given
    units, inputs = W1_UI.shape[-2:]
    return inner.retention.gain(inputs) * D_NU, inner.retention.gain(units) * E_NO, hidden_NU


def begun(inner: Inner, state: State) -> State:
    """The state before a token; where that begins a period, what was written settles and is kept as F."""
    if int(state.place.flatten()[0]):
        return state
    A1, A2 = inner.retention.settle(state.A1_BHUI), inner.retention.settle(state.A2_BHOU)
    return state._replace(A1_BHUI=A1, A2_BHOU=A2, F1_BHUI=A1, F2_BHOU=A2)


def fading(inner: Inner, gates: Gates) -> Tensor:
    """log(1 - alpha); with a pull to F of strength `local`, log(1 - alpha - 2 local theta), never below the floor."""
    if not inner.options.get("local"):
        return gates["log_retain"]
    faded = gates["log_retain"].exp() - 2 * float(inner.options["local"]) * gates["theta"]
    return faded.clamp(min=2.718281828459045**FLOOR).log()


def scale(inner: Inner, F: Tensor) -> Tensor:
    """What turns an accumulator of a period that began at F into weights."""
    factor = inner.retention.scale(F)
    assert factor is not None, "the header of a rule allows reads inside a period only with a linear link"
    return factor
