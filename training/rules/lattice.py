"""Lattice: slots of unit length, each turned towards what it should say more of and never along itself.

A code says how much each of m slots takes part in a token: a learned map of the key, and of the query to read.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from training.rules import Gates, Inner, with_inner

about = {
    "help": "slots on the sphere, each written orthogonally to what it holds",
    "source": "Karami, Mirrokni 2025, arXiv:2504.05646",
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
        "read_at": {"default": "after", "choices": ["after", "before"], "help": "read after or before the write"},
        "gradient": {
            "default": "full",
            "choices": ["full", "first_order", "truncated"],
            "help": "of training: through all, with the slots inside inner gradients taken for constants, or cut",
        },
        "truncate": {"default": 64, "min": 1, "max": 65536, "help": "tokens between cuts of a truncated gradient"},
    },
}


class State(NamedTuple):
    """The slots of every batch row and head, [B, H, M, V], rows of unit length."""

    slots: Tensor


def learned(inner: Inner, heads: int, K: int, V: int) -> dict[str, Tensor]:
    """First slots and the map to codes; a key of unit length has a code of about unit length."""
    m = int(inner.options["slots"])
    return {"slots": torch.randn(heads, m, V), "code": torch.randn(heads, m, K) * m**-0.5}


def initial(inner: Inner, q_BHTK: Tensor, v_BHTV: Tensor) -> State:
    """The learned slots, brought to unit length, a copy for each batch row."""
    return State(inner.retention.start(inner.learned["slots"]).expand(len(q_BHTK), -1, -1, -1))


def step(inner: Inner, state: State, k_BHK: Tensor, v_BHV: Tensor, gates: Gates) -> State:
    """s_i' = normalised(mu s_i - theta (I - s_i s_i^T) g_i), g_i the gradient by slot i.

    decoding: of the bias at (sum_i code_i s_i, v), code_i h. encoding: at (slots v, code), h_i v.
    """
    slots_MV, code_M = state.slots, coded(inner, k_BHK)
    held_MV = slots_MV.detach() if inner.options["gradient"] == "first_order" else slots_MV
    if inner.options["form"] == "decoding":
        h_V = inner.error((code_M[..., None, :] @ held_MV).squeeze(-2), v_BHV)
        gradient_MV = code_M[..., :, None] * h_V[..., None, :]
    else:
        h_M = inner.error((held_MV @ v_BHV[..., None]).squeeze(-1), code_M)
        gradient_MV = h_M[..., :, None] * v_BHV[..., None, :]
    along_MV = inner.retention.direct(held_MV, gradient_MV)
    moved_MV = gates["log_retain"].exp()[..., None, None] * slots_MV - gates["theta"][..., None, None] * along_MV
    return State(inner.retention.settle(moved_MV))


def read(inner: Inner, state: State, q_BHK: Tensor) -> Tensor:
    """The slots mixed by the query's code."""
    return (coded(inner, q_BHK)[..., None, :] @ state.slots).squeeze(-2)


def coded(inner: Inner, k_BHK: Tensor) -> Tensor:
    """The code of a key or query -> [B, H, M]."""
    return (inner.learned["code"] @ k_BHK[..., None]).squeeze(-1)


lattice = with_inner(about, initial=initial, step=step, read=read, learned=learned)
