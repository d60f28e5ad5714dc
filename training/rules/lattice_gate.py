"""Lattice with a gate of each slot: the slots that a key points to turn towards its value, and a query mixes slots.

A variant that some code has under the name of Lattice; it asks for no error. Keys and values are of one width.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from training.rules import Gates, Inner, with_inner

about = {
    "help": "slots on the sphere, each turned towards the value as far as the key points to it; no error",
    "source": "a variant of Karami, Mirrokni 2025, arXiv:2504.05646, with gates in the place of codes",
    "gates": {"log_retain": {"map": "logsigmoid", "bias": 4.0}, "theta": {"map": "sigmoid", "bias": 0.0}},
    "bias": "dot",
    "retention": "sphere",
    "combines": {"bias": ["none"], "retention": ["none", "sphere"]},
    "square": True,
    "fields": {
        "slots": {"default": 16, "min": 1, "max": 1024, "help": "slots of each head"},
        "read_at": {"default": "after", "choices": ["after", "before"], "help": "read after or before the write"},
        "gradient": {"default": "full", "choices": ["full", "truncated"], "help": "of training: through all, or cut"},
        "truncate": {"default": 64, "min": 1, "max": 65536, "help": "tokens between cuts of a truncated gradient"},
    },
}


class State(NamedTuple):
    """The slots of every batch row and head, [B, H, M, V], rows of unit length."""

    slots: Tensor


def learned(inner: Inner, heads: int, K: int, V: int) -> dict[str, Tensor]:
    """First slots."""
    return {"slots": torch.randn(heads, int(inner.options["slots"]), V)}


def initial(inner: Inner, q_BHTK: Tensor, v_BHTV: Tensor) -> State:
    """The learned slots, brought to unit length, a copy for each batch row."""
    assert q_BHTK.shape[-1] == v_BHTV.shape[-1], "a key is held against the slots, which are of the width of values"
    return State(inner.retention.start(inner.learned["slots"]).expand(len(q_BHTK), -1, -1, -1))


def step(inner: Inner, state: State, k_BHK: Tensor, v_BHV: Tensor, gates: Gates) -> State:
    """s_i' = normalised(mu s_i + theta (I - s_i s_i^T) sigmoid(s_i . k) v)"""
    pointed_BHM = torch.sigmoid((state.slots @ k_BHK[..., None]).squeeze(-1))
    along = inner.retention.direct(state.slots, -pointed_BHM[..., None] * v_BHV[..., None, :])
    retain, theta = gates["log_retain"].exp()[..., None, None], gates["theta"][..., None, None]
    return State(inner.retention.settle(retain * state.slots - theta * along))


def read(inner: Inner, state: State, q_BHK: Tensor) -> Tensor:
    """The slots mixed by softmax(s_i . q)."""
    shares_BHM = (state.slots @ q_BHK[..., None]).squeeze(-1).softmax(-1)
    return (shares_BHM[..., None, :] @ state.slots).squeeze(-2)


lattice_gate = with_inner(about, initial=initial, step=step, read=read, learned=learned)
