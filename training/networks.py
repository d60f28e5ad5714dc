"""Memory rules whose memory is a small network: bias, retention and gates differ, the code is this.

The learned tensors are the weights that every text starts with, one network a head; every batch row has its own copy.
Nothing but token after token computes these rules exactly; `training.frozen` has the fast rules beside them.
"""

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from plugins import About
from training.biases.huber import switched
from training.network import pull, recall
from training.rules import Gates, Inner, MemoryRule, with_inner

LEAST = 1e-3
"""Floor under a learned delta: at zero nothing would be learned."""

SILU = 0.356
"""Mean of silu(z)^2 for a normal z."""


class State(NamedTuple):
    """Accumulators of both layers and their momentum, empty in a rule without it."""

    A1_BHUI: Tensor
    A2_BHOU: Tensor
    S1_BHUI: Tensor
    S2_BHOU: Tensor


def network_rule(about: About) -> MemoryRule:
    """The rule of a header, token by token."""
    return with_inner(about, initial=initial, step=step, read=read, learned=learned)


def learned(inner: Inner, heads: int, K: int, V: int) -> dict[str, Tensor]:
    """First weights of each head's network: for a key of unit length all values have a mean square near one."""
    hidden = int(inner.options["expansion"]) * K
    return {
        "W1": torch.randn(heads, hidden, K),
        "W2": torch.randn(heads, V, hidden) * (SILU * hidden) ** -0.5,
    }


def initial(inner: Inner, q_BHTK: Tensor, v_BHTV: Tensor) -> State:
    """The learned weights, a copy for each batch row, and no momentum."""
    B = len(q_BHTK)
    A1, A2 = (inner.retention.start(inner.learned[name]).expand(B, -1, -1, -1) for name in ("W1", "W2"))
    S1, S2 = (torch.zeros_like(A) if has_momentum(inner) else A.new_zeros(*A.shape[:2], 0, 0) for A in (A1, A2))
    return State(A1, A2, S1, S2)


def step(inner: Inner, state: State, k_BHK: Tensor, v_BHV: Tensor, gates: Gates) -> State:
    """S' = eta S - theta / U g, A' = settle((1 - alpha) A + S') for both layers, g the gradient at the weights of A.

    Over the hidden units U, because the step at which a network diverges falls with their number.
    """
    gates = per_unit(gates, state.A1_BHUI.shape[-2])
    W1, W2 = inner.retention.weights(state.A1_BHUI), inner.retention.weights(state.A2_BHOU)
    g1, g2 = gradients(with_delta(inner, gates), W1, W2, k_BHK, v_BHV)
    g1, g2 = inner.retention.direct(W1, g1), inner.retention.direct(W2, g2)
    A1, S1 = moved(state.A1_BHUI, state.S1_BHUI, g1, gates)
    A2, S2 = moved(state.A2_BHOU, state.S2_BHOU, g2, gates)
    return State(inner.retention.settle(A1), inner.retention.settle(A2), S1, S2)


def with_delta(inner: Inner, gates: Gates) -> Inner:
    """The rule with the error that switches at the token's own delta, where there is such a gate."""
    if "delta" not in gates:
        return inner
    delta_BH11 = gates["delta"].clamp(min=LEAST)[..., None, None]
    return replace(inner, error=lambda predicted, target: switched(predicted - target, delta_BH11))


def read(inner: Inner, state: State, q_BHK: Tensor) -> Tensor:
    """What the network says to the query."""
    W1, W2 = inner.retention.weights(state.A1_BHUI), inner.retention.weights(state.A2_BHOU)
    return recall(W1, W2, q_BHK[..., None, :], is_wrapped(inner))[0].squeeze(-2)


def gradients(inner: Inner, W1_UI: Tensor, W2_OU: Tensor, k_K: Tensor, v_V: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of the bias at one token by both layers' weights."""
    D_NU, E_NO, hidden_NU = signals(inner, W1_UI, W2_OU, k_K[..., None, :], v_V[..., None, :])
    return D_NU.mT * k_K[..., None, :], E_NO.mT * hidden_NU


def signals(inner: Inner, W1_UI: Tensor, W2_OU: Tensor, k_NK: Tensor, v_NV: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(D_NU, E_NO, hidden_NU) of tokens that meet the same weights, which `first_order` takes for constants."""
    if inner.options["gradient"] == "first_order":
        W1_UI, W2_OU = W1_UI.detach(), W2_OU.detach()
    predicted_NV, done = recall(W1_UI, W2_OU, k_NK, is_wrapped(inner))
    return *pull(done, W2_OU, inner.error(predicted_NV, v_NV)), done.hidden


def moved(A: Tensor, S: Tensor, gradient: Tensor, gates: Gates) -> tuple[Tensor, Tensor]:
    """One step of an accumulator and its momentum; without the gate there is none."""
    moving = -gates["theta"][..., None, None] * gradient
    if "log_momentum" in gates:
        moving = S = gates["log_momentum"].exp()[..., None, None] * S + moving
    return gates["log_retain"].exp()[..., None, None] * A + moving, S


def per_unit(gates: Gates, units: int) -> Gates:
    """The gates with theta over the hidden units."""
    return {**gates, "theta": gates["theta"] / units}


def has_momentum(inner: Inner) -> bool:
    """Whether the rule has a momentum gate."""
    return "log_momentum" in inner.gates


def is_wrapped(inner: Inner) -> bool:
    """Whether the network adds its normed output to its input."""
    return inner.options["wrap"] == "norm"
