"""Lattice, frozen: within a period every slot turns by gradients at the slots that the period began with.

This is a rule of its own, not the fast form of `lattice`: slots come back to unit length when a period ends, and in
between each is a gated sum, s_i' = a_i s_i - theta g_i with a gate a_i of its own. Periods are counted from the start
of a text, wherever it is cut.
"""

import math
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from training.rules import Gates, Inner, with_inner
from training.rules.lattice import learned
from training.segments import cut, cut_gates

about = {
    "help": "slots on the sphere, gradients frozen for a period",
    "source": "Karami, Mirrokni 2025, arXiv:2504.05646, the parallel form",
    "gates": {"log_retain": {"map": "logsigmoid", "bias": 4.0}, "theta": {"map": "sigmoid", "bias": -1.0}},
    "bias": "l2",
    "retention": "sphere",
    "combines": {"bias": ["none", "l2", "dot", "lp", "huber"], "retention": ["none", "sphere"]},
    "fields": {
        "slots": {"default": 16, "min": 1, "max": 1024, "help": "slots of each head"},
        "form": {
            "default": "decoding",
            "choices": ["decoding", "encoding"],
            "help": "slots mixed by the code should give the value, or the value should give the code",
        },
        "across": {
            "default": "gated",
            "choices": ["gated", "additive"],
            "help": "what turns a slot across itself: a gate on the slot, or the slot that the period began with",
        },
        "bound": {
            "default": "stable",
            "choices": ["stable", "none"],
            "help": "cut the gate of a slot so that it grows e-fold in a period at most",
        },
        "read_at": {
            "default": "after",
            "choices": ["after", "chunk_start"],
            "help": "read after the write, or as the slots were when the period began",
        },
        "period": {"default": 16, "min": 1, "max": 1024, "help": "tokens whose gradients are taken at one point"},
        "gradient": {
            "default": "full",
            "choices": ["full", "first_order", "truncated"],
            "help": "of training: through all, with the slots inside inner gradients taken for constants, or cut",
        },
        "truncate": {"default": 64, "min": 1, "max": 65536, "help": "tokens between cuts of a truncated gradient"},
    },
}


class State(NamedTuple):
    """The slots of every batch row and head, [B, H, M, V]; those that the period began with; tokens into the period.

    place: int64 [B, H], the same for all rows and heads.
    """

    slots: Tensor
    begun: Tensor
    place: Tensor


def initial(inner: Inner, q_BHTK: Tensor, v_BHTV: Tensor) -> State:
    """The learned slots at the start of a period."""
    B, H = q_BHTK.shape[:2]
    slots = inner.retention.start(inner.learned["slots"]).expand(B, -1, -1, -1)
    return State(slots, slots, torch.zeros(B, H, dtype=torch.int64, device=slots.device))


def step(inner: Inner, state: State, k_BHK: Tensor, v_BHV: Tensor, gates: Gates) -> State:
    """s_i' = (mu + theta f_i . g_i) s_i - theta g_i, g_i the gradient at the period's first slots f, as in `lattice`.

    additive: s_i' = mu s_i - theta (I - f_i f_i^T) g_i. The gate before s_i keeps to its bound.
    """
    slots_MV, begun_MV, place = opened(inner, state)
    held_MV = begun_MV.detach() if inner.options["gradient"] == "first_order" else begun_MV
    share_1M, along_1V = factors(inner, held_MV, k_BHK[..., None, :], v_BHV[..., None, :])
    gradient_MV = share_1M.mT * along_1V
    grown_M1 = (held_MV * gradient_MV).sum(-1, keepdim=True)
    retain, theta = gates["log_retain"].exp()[..., None, None], gates["theta"][..., None, None]
    if inner.options["across"] == "gated":
        after_MV = bounded(inner, retain + theta * grown_M1) * slots_MV - theta * gradient_MV
    else:
        after_MV = retain * slots_MV - theta * (gradient_MV - held_MV * grown_M1)
    return State(after_MV, begun_MV, (place + 1) % int(inner.options["period"]))


def bounded(inner: Inner, gate: Tensor) -> Tensor:
    """The gate of a slot within its bound."""
    if inner.options["bound"] == "none":
        return gate
    return gate.clamp(-1.0, math.exp(1 / int(inner.options["period"])))


def read(inner: Inner, state: State, q_BHK: Tensor) -> Tensor:
    """The slots mixed by the query's code."""
    slots_MV = state.begun if inner.options["read_at"] == "chunk_start" else state.slots
    return (coded(inner, q_BHK[..., None, :]) @ slots_MV).squeeze(-2)


def coded(inner: Inner, k_CK: Tensor) -> Tensor:
    """The codes of keys or queries -> [B, H, C, M]."""
    return k_CK @ inner.learned["code"].mT


def factors(inner: Inner, held_MV: Tensor, k_CK: Tensor, v_CV: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients by the slots as products: what each slot takes [C, M] of what direction [C, V]."""
    code_CM = coded(inner, k_CK)
    if inner.options["form"] == "decoding":
        return code_CM, inner.error(code_CM @ held_MV, v_CV)
    return inner.error(v_CV @ held_MV.mT, code_CM), v_CV


def opened(inner: Inner, state: State) -> State:
    """The state before a token; where that begins a period, slots come to unit length and are kept."""
    if int(state.place.flatten()[0]):
        return state
    slots = inner.retention.settle(state.slots)
    return state._replace(slots=slots, begun=slots)


def segment(
    inner: Inner, state: State, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTV: Tensor, gates: Gates, length: int
) -> tuple[Tensor, State]:
    """All T steps, a period at once: `length` changes nothing."""
    period, T = int(inner.options["period"]), k_BHTK.shape[2]
    first = (period - int(state.place.flatten()[0])) % period
    outputs = []
    for start, stop in pairwise(sorted({0, *range(first, T, period), T})):
        tokens = cut((q_BHTK, k_BHTK, v_BHTV), start, stop)
        y_BHTV, state = part(inner, state, *tokens, cut_gates(gates, start, stop))
        outputs.append(y_BHTV)
    return torch.cat(outputs, 2), state


def part(inner: Inner, state: State, q: Tensor, k: Tensor, v: Tensor, gates: Gates) -> tuple[Tensor, State]:
    """Tokens of one period: s_i,t = A_ti s_i,0 + c_ti f_i - sum_j G_tji share_ji along_j, formed only at the end.

    A is the product of the gates of slot i up to t, G that after j up to t times theta_j, c (additive) gathers what
    keeps the slot across.
    """
    slots_MV, begun_MV, place = opened(inner, state)
    held_MV = begun_MV.detach() if inner.options["gradient"] == "first_order" else begun_MV
    share_CM, along_CV = factors(inner, held_MV, k, v)
    grown_CM = share_CM * (along_CV @ held_MV.mT) * gates["theta"][..., None]
    gated = inner.options["across"] == "gated"
    gate_CM = gates["log_retain"].exp()[..., None].expand_as(grown_CM)
    gate_CM = bounded(inner, gate_CM + grown_CM) if gated else gate_CM
    A_CM, G_CCM = products(gate_CM)
    wrote_CCM = G_CCM * (gates["theta"][..., None] * share_CM)[..., None, :, :]
    kept_CM = torch.zeros_like(A_CM) if gated else (G_CCM * grown_CM[..., None, :, :]).sum(-2)
    last = (A_CM[..., -1, :, None], kept_CM[..., -1, :, None], wrote_CCM[..., -1, :, :].mT)
    after_MV = last[0] * slots_MV + last[1] * held_MV - last[2] @ along_CV
    code_CM = coded(inner, q)
    if inner.options["read_at"] == "chunk_start":
        y = code_CM @ begun_MV
    else:
        scores_CC = (code_CM[..., :, None, :] * wrote_CCM).sum(-1)
        y = (code_CM * A_CM) @ slots_MV + (code_CM * kept_CM) @ held_MV - scores_CC @ along_CV
    return y, State(after_MV, begun_MV, (place + k.shape[2]) % int(inner.options["period"]))


def products(gate_CM: Tensor) -> tuple[Tensor, Tensor]:
    """Products of gates, of either sign: up to each token [C, M], and after the column up to the row [C, C, M]."""
    C = gate_CM.shape[-2]
    rows, row_CM = [], torch.zeros_like(gate_CM)
    own = torch.eye(C, dtype=gate_CM.dtype, device=gate_CM.device)
    for t, gate_M in enumerate(gate_CM.unbind(-2)):
        row_CM = gate_M[..., None, :] * row_CM + own[t][:, None]
        rows.append(row_CM)
    return gate_CM.cumprod(-2), torch.stack(rows, -3)


lattice_frozen = with_inner(about, initial=initial, step=step, read=read, segment=segment, learned=learned)
