"""Implicit gradient descent: the best memory near the faded one, in closed form; stable for a step of any size.

The delta rule with beta = theta / (1 + theta |k|^2). The state S in R^{K x V} is read as y = S^T q.
"""

from torch import Tensor

from training.rules import Gates, Inner, with_inner
from training.rules import delta as delta_rule

about = {
    "help": "implicit gradient descent: stable for a step of any size",
    "source": "Liu et al. 2024, arXiv:2407.14207 (Longhorn)",
    "gates": {"log_retain": {"map": "logsigmoid", "bias": 4.0}, "theta": {"map": "softplus", "bias": 0.0}},
    "combines": {"bias": ["none"], "retention": ["none"]},
    "fields": {
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


def step(inner: Inner, state: delta_rule.State, k_BHK: Tensor, v_BHV: Tensor, gates: Gates) -> delta_rule.State:
    """argmin over S' of |S'^T k - v|^2 / 2 + |S' - exp(log_retain) S|^2 / (2 theta)"""
    return delta_rule.step(inner, state, k_BHK, v_BHV, as_delta(k_BHK, gates))


def segment(
    inner: Inner, state: delta_rule.State, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTV: Tensor, gates: Gates, length: int
) -> tuple[Tensor, delta_rule.State]:
    """All T steps, by the exact form of the delta rule."""
    return delta_rule.segment(inner, state, q_BHTK, k_BHTK, v_BHTV, as_delta(k_BHTK, gates), length)


def as_delta(k: Tensor, gates: Gates) -> Gates:
    """The delta rule's gates."""
    theta = gates["theta"]
    return {"log_retain": gates["log_retain"], "beta": theta / (1 + theta * k.square().sum(-1))}


implicit = with_inner(about, initial=delta_rule.initial, step=step, read=delta_rule.read, segment=segment)
