"""Titans on a matrix: gradient descent with momentum and decay on what each key should recall.

The state M in R^{K x V} is the transpose of the papers': it is read as y = M^T q. S is the momentum.
"""

from functools import partial
from typing import NamedTuple

from torch import Tensor

from training.affine import affine, scanned
from training.coefficients import coefficients, floored
from training.rules import Gates, Inner, with_inner
from training.segments import whole_segments, with_rest
from training.stability import bounded

about = {
    "help": "momentum and decay on a matrix memory, in its exact segment form",
    "source": "Behrouz, Zhong, Mirrokni 2025, arXiv:2501.00663, equations 9 to 14",
    "gates": {
        "log_retain": {"map": "logsigmoid", "bias": 4.0},
        "log_momentum": {"map": "logsigmoid", "bias": 1.5},
        "theta": {"map": "sigmoid", "bias": -2.0},
    },
    "strategies": ["segment", "step", "scan"],
    "needs": {"scan": {"bias": ["dot"]}},
    "bias": "l2",
    "retention": "l2",
    "combines": {
        "rule.norm_of_qk": ["l2", "rms"],
        "bias": ["none", "l2", "dot", "lp", "huber"],
        "retention": ["none", "l2", "elastic_net", "sphere", "kl"],
    },
    "fields": {
        "error_on": {
            "default": "pre_decay",
            "choices": ["pre_decay", "post_decay"],
            "help": "whether the error is that of the memory before or after it fades",
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


class State(NamedTuple):
    """Memory and momentum of every batch row and head."""

    M_BHKV: Tensor
    S_BHKV: Tensor


def initial(inner: Inner, q_BHTK: Tensor, v_BHTV: Tensor) -> State:
    """An empty memory: the zero matrix, or where the retention has a link, what it makes of it."""
    B, H, _, K = q_BHTK.shape
    zero = v_BHTV.new_zeros(B, H, K, v_BHTV.shape[-1])
    return State(inner.retention.start(zero.mT).mT, zero)


def step(inner: Inner, state: State, k_BHK: Tensor, v_BHV: Tensor, gates: Gates) -> State:
    """S' = eta S - theta k e^T, M' = (1 - alpha) M + S', e = M^T k - v; M before or after its decay."""
    retain, theta = gates["log_retain"].exp()[..., None, None], theta_of(inner, k_BHK, gates)[..., None, None]
    W_BHVK = inner.retention.weights(state.M_BHKV.mT)
    point_BHVK = W_BHVK if inner.options["error_on"] == "pre_decay" else retain * W_BHVK
    e_BHV = inner.error((point_BHVK @ k_BHK[..., None]).squeeze(-1), v_BHV)
    gradient_BHVK = inner.retention.direct(W_BHVK, e_BHV[..., None] * k_BHK[..., None, :])
    S_BHKV = gates["log_momentum"].exp()[..., None, None] * state.S_BHKV - theta * gradient_BHVK.mT
    return State(inner.retention.settle((retain * state.M_BHKV + S_BHKV).mT).mT, S_BHKV)


def read(inner: Inner, state: State, q_BHK: Tensor) -> Tensor:
    """y = M^T q"""
    return (inner.retention.weights(state.M_BHKV.mT) @ q_BHK[..., None]).squeeze(-1)


def theta_of(inner: Inner, k: Tensor, gates: Gates) -> Tensor:
    """The inner step within its bound."""
    return bounded(gates["theta"], gates["log_retain"], gates["log_momentum"], k, str(inner.options["bound"]))


def segment(
    inner: Inner, state: State, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTV: Tensor, gates: Gates, length: int
) -> tuple[Tensor, State]:
    """All T steps, `length` at once, by one triangular solve; exact in exact arithmetic."""
    return with_rest(partial(whole, inner), state, q_BHTK, k_BHTK, v_BHTV, gates, length)


def whole(
    inner: Inner, state: State, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTV: Tensor, gates: Gates, length: int
) -> tuple[Tensor, State]:
    """Segments of equal length; see `affine`."""
    q, k, v = (whole_segments(x, length) for x in (q_BHTK, k_BHTK, v_BHTV))
    log_retain, log_momentum = (whole_segments(floored(gates[x]), length) for x in ("log_retain", "log_momentum"))
    c = coefficients(log_retain, log_momentum, whole_segments(theta_of(inner, k_BHTK, gates), length))
    faded = log_retain.exp() if inner.options["error_on"] == "post_decay" else None
    kind = {"hebbian": inner.named["bias"] == "dot", "reads_before": inner.options["read_at"] == "before"}
    if inner.strategy == "scan":
        assert kind["hebbian"], "a recipe with strategy scan has bias dot"
        y_BHTV, M, S = scanned(state.M_BHKV, state.S_BHKV, q, k, v, c, reads_before=kind["reads_before"])
        return y_BHTV, State(M, S)
    y_BHTV, M, S = affine(state.M_BHKV, state.S_BHKV, q, k, v, None, c, faded, **kind)
    return y_BHTV, State(M, S)


def exact(inner: Inner) -> bool:
    """Whether the errors are affine in the memory."""
    return inner.named["bias"] in ("l2", "dot") and inner.named["retention"] == "l2"


titans = with_inner(about, initial=initial, step=step, read=read, segment=segment, segments=exact)
