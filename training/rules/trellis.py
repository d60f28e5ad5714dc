"""Trellis: keys and values are each pressed into m slots, so that what the slots say of them matches one code.

The code of a token is a learned map of its key. f is layer norm after SiLU, or the identity, with which each pass is
a gated delta rule.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from training.network import normed
from training.rules import Gates, Inner, with_inner

about = {
    "help": "two slot memories, of keys and of values, under one code",
    "source": "Trellis 2025, arXiv:2512.23852",
    "gates": {
        "log_retain_key": {"map": "logsigmoid", "bias": 4.0},
        "log_retain_value": {"map": "logsigmoid", "bias": 4.0},
        "theta_key": {"map": "sigmoid", "bias": -1.0},
        "theta_value": {"map": "sigmoid", "bias": -1.0},
    },
    "bias": "l2",
    "retention": "l2",
    "combines": {"bias": ["none", "l2", "dot", "lp", "huber"], "retention": ["none", "l2", "elastic_net", "sphere"]},
    "fields": {
        "slots": {"default": 16, "min": 2, "max": 1024, "help": "slots of each head"},
        "f": {"default": "norm", "choices": ["norm", "identity"], "help": "what slots pass on: LN(silu(z)), or z"},
        "read_at": {"default": "after", "choices": ["after", "before"], "help": "read after or before the write"},
        "gradient": {
            "default": "full",
            "choices": ["full", "first_order", "truncated"],
            "help": "of training: through all, with the slots inside inner gradients taken for constants, or cut",
        },
        "truncate": {"default": 64, "min": 1, "max": 65536, "help": "tokens between cuts of a truncated gradient"},
    },
}


SMALL = 0.05
"""Added to the variance of slots, 0.3 for a normal z: with less, slots that all say nothing would be thrown far."""


class State(NamedTuple):
    """The slots of keys and of values of every batch row and head: [B, H, M, K], [B, H, M, V]."""

    keys: Tensor
    values: Tensor


def learned(inner: Inner, heads: int, K: int, V: int) -> dict[str, Tensor]:
    """First slots of both and the map to codes; for a key of unit length z and code have a mean square near one."""
    m = int(inner.options["slots"])
    first = {"key_slots": torch.randn(heads, m, K), "value_slots": torch.randn(heads, m, V) * V**-0.5}
    return {**first, "code": torch.randn(heads, m, K)}


def initial(inner: Inner, q_BHTK: Tensor, v_BHTV: Tensor) -> State:
    """The learned slots, a copy for each batch row."""
    keys, values = (inner.retention.start(inner.learned[name]) for name in ("key_slots", "value_slots"))
    return State(keys.expand(len(q_BHTK), -1, -1, -1), values.expand(len(q_BHTK), -1, -1, -1))


def step(inner: Inner, state: State, k_BHK: Tensor, v_BHV: Tensor, gates: Gates) -> State:
    """Both passes of one token, under the code of its key."""
    code = (inner.learned["code"] @ k_BHK[..., None]).squeeze(-1)
    return State(
        written(inner, state.keys, k_BHK, code, gates["log_retain_key"], gates["theta_key"]),
        written(inner, state.values, v_BHV, code, gates["log_retain_value"], gates["theta_value"]),
    )


def written(inner: Inner, S_MW: Tensor, w_W: Tensor, code_M: Tensor, log_retain: Tensor, theta: Tensor) -> Tensor:
    """S' = beta S - theta / (1 + |w|^2) u w^T, u = J_f(z)^T e(f(z), code), z = S w; w is the key or the value."""
    held_MW = S_MW.detach() if inner.options["gradient"] == "first_order" else S_MW
    z_M = (held_MW @ w_W[..., None]).squeeze(-1)
    u_M = pulled(inner, z_M, code_M)
    gradient_MW = inner.retention.direct(held_MW, u_M[..., :, None] * w_W[..., None, :])
    size = theta / (1 + w_W.square().sum(-1))
    return inner.retention.settle(log_retain.exp()[..., None, None] * S_MW - size[..., None, None] * gradient_MW)


def read(inner: Inner, state: State, q_BHK: Tensor) -> Tensor:
    """y = S_V^T f(S_K q)"""
    z_BHM = (state.keys @ q_BHK[..., None]).squeeze(-1)
    return (passed(inner, z_BHM)[..., None, :] @ state.values).squeeze(-2)


def passed(inner: Inner, z_M: Tensor) -> Tensor:
    """f(z)"""
    return z_M if inner.options["f"] == "identity" else normed(z_M * torch.sigmoid(z_M), SMALL)[0]


def pulled(inner: Inner, z_M: Tensor, code_M: Tensor) -> Tensor:
    """J_f(z)^T e(f(z), code), in closed form."""
    if inner.options["f"] == "identity":
        return inner.error(z_M, code_M)
    gate = torch.sigmoid(z_M)
    y, deviation = normed(z_M * gate, SMALL)
    e = inner.error(y, code_M)
    back = (e - e.mean(-1, keepdim=True) - y * (y * e).mean(-1, keepdim=True)) / deviation
    return back * gate * (1 + z_M * (1 - gate))


trellis = with_inner(about, initial=initial, step=step, read=read, learned=learned)
