"""Delta gradient descent: the memory is fitted to the negative gradient of its output, so that it also fades along k.

With a' = eta / (1 + eta |k|^2), M' = M (retain - a' k k^T) - a' (M k - v) k^T. The state S in R^{K x V} is the
transpose of the papers' M: it is read as y = S^T q.
"""

from torch import Tensor

from training.coefficients import floored
from training.rules import Gates, Inner, with_inner
from training.rules import delta as delta_rule

about = {
    "help": "delta gradient descent: delta rule that also fades along the key",
    "source": "Behrouz et al. 2025, arXiv:2512.24695, section 4",
    "gates": {"log_retain": {"map": "logsigmoid", "bias": 4.0}, "eta": {"map": "sigmoid", "bias": 0.0}},
    "combines": {"bias": ["none"], "retention": ["none"], "rule.norm_of_qk": ["l2"]},
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
    """S' = retain S - a' k (S^T k)^T - a' k (S^T k - v)^T"""
    a_BH11 = fraction(k_BHK, gates)[..., None, None]
    recalled_BHV = delta_rule.recalled(state.S_BHKV, k_BHK)
    written_BHKV = k_BHK[..., :, None] * (2 * recalled_BHV - v_BHV)[..., None, :]
    return delta_rule.State(gates["log_retain"].exp()[..., None, None] * state.S_BHKV - a_BH11 * written_BHKV)


def segment(
    inner: Inner, state: delta_rule.State, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTV: Tensor, gates: Gates, length: int
) -> tuple[Tensor, delta_rule.State]:
    """All T steps by the exact form of the delta rule, with beta = 2 a' / retain and values retain v / 2."""
    retain = floored(gates["log_retain"]).exp()
    mapped = {"log_retain": retain.log(), "beta": 2 * fraction(k_BHTK, gates) / retain}
    return delta_rule.segment(inner, state, q_BHTK, k_BHTK, v_BHTV * (retain / 2)[..., None], mapped, length)


def fraction(k: Tensor, gates: Gates) -> Tensor:
    """a' = eta / (1 + eta |k|^2)"""
    return gates["eta"] / (1 + gates["eta"] * k.square().sum(-1))


dgd = with_inner(about, initial=delta_rule.initial, step=step, read=delta_rule.read, segment=segment)
