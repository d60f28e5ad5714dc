"""The rules against loops that others wrote: the plain PyTorch references of flash-linear-attention (fla-core).

They are loaded as single files: the package itself imports Triton, which a machine without a GPU may lack.
They compute in float32, with axes [B, T, H, ...].
"""

import importlib.util
from pathlib import Path

import pytest
import torch

from tests.memories import inputs, ready
from training.rules import scan


def reference(operation):
    """The module of one operation's naive reference."""
    package = importlib.util.find_spec("fla")
    assert package is not None and package.origin is not None
    file = Path(package.origin).parent / "ops" / operation / "naive.py"
    spec = importlib.util.spec_from_file_location(f"fla_naive_{operation.replace(chr(47), chr(95))}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def turned(*tensors):
    """[B, H, T, ...] -> [B, T, H, ...] in float32."""
    return [tensor.transpose(1, 2).float() for tensor in tensors]


def ours(name, length=50, seed=0, **options):
    rule = ready(name, **options)
    q, k, v, gates = inputs(rule, length, seed)
    y, end = rule.segment(rule.initial(q, v), q, k, v, gates, 16)
    return rule, (q, k, v), gates, y, end


def agree(one, other, tolerance=3e-5):
    assert ((one.double() - other.double()).norm() / other.double().norm()).item() < tolerance


def test_hebbian_is_gated_linear_attention():
    _, (q, k, v), gates, y, end = ours("hebbian")
    q, k, v, g = turned(q, k, v * gates["theta"][..., None], gates["log_retain"])
    expected, state = reference("simple_gla").naive_recurrent_simple_gla(q, k, v, g, scale=1.0)
    agree(y.transpose(1, 2), expected)
    agree(end.M_BHKV, state)


def gated_delta(q, k, v, beta, g, **more):
    more = {name: value.float() for name, value in more.items()}
    rule = reference("gated_delta_rule").naive_recurrent_gated_delta_rule
    q, k, v, beta, g = turned(q, k, v, beta, g)
    return rule(q, k, v, beta, g, scale=1.0, output_final_state=True, **more)


def test_delta_is_the_gated_delta_rule():
    _, (q, k, v), gates, y, end = ours("delta")
    expected, state = gated_delta(q, k, v, gates["beta"], gates["log_retain"])
    agree(y.transpose(1, 2), expected)
    agree(end.S_BHKV, state)


def test_delta_that_never_forgets_is_the_delta_rule():
    rule = ready("delta")
    q, k, v, gates = inputs(rule, 50)
    gates["log_retain"] = torch.zeros_like(gates["beta"])
    y, _ = rule.segment(rule.initial(q, v), q, k, v, gates, 16)
    loop = reference("delta_rule").delta_rule_recurrence
    expected, _ = loop(q * q.shape[-1] ** 0.5, k, v, gates["beta"])
    agree(y, expected)


def test_titans_is_the_momentum_delta_rule():
    _, (q, k, v), gates, y, end = ours("titans", bound="none")
    q, k, v, a, m, theta = turned(q, k, v, gates["log_retain"], gates["log_momentum"], gates["theta"])
    loop = reference("momentum_delta_rule").recurrent_momentum_delta_rule_ref
    more = {"beta": torch.ones_like(theta), "eta": theta[..., None].squeeze(-1), "output_final_state": True}
    expected, states = loop(q, k, v, a, m, k, scale=1.0, **more)
    agree(y.transpose(1, 2), expected)
    agree(end.M_BHKV, states[0])
    agree(end.S_BHKV, -states[1])


def test_titans_without_momentum_is_the_gated_delta_rule_with_its_error_before_the_decay():
    rule = ready("titans", bound="none")
    q, k, v, gates = inputs(rule, 50)
    gates["log_momentum"] = torch.full_like(gates["theta"], -torch.inf)
    y, _ = rule.segment(rule.initial(q, v), q, k, v, gates, 16)
    retain = gates["log_retain"].exp()
    expected, _ = gated_delta(q, k, retain[..., None] * v, gates["theta"] / retain, gates["log_retain"])
    agree(y.transpose(1, 2), expected)


@pytest.mark.parametrize("name", ["implicit", "dgd"])
def test_implicit_and_delta_gradient_descent_are_gated_delta_rules(name):
    _, (q, k, v), gates, y, _ = ours(name)
    retain = gates["log_retain"].exp()
    if name == "implicit":
        beta, value = gates["theta"] / (1 + gates["theta"]), v
    else:
        beta, value = 2 * gates["eta"] / (1 + gates["eta"]) / retain, retain[..., None] * v / 2
    expected, _ = gated_delta(q, k, value, beta, gates["log_retain"])
    agree(y.transpose(1, 2), expected)


def test_a_pass_of_trellis_under_the_identity_is_a_gated_delta_rule():
    rule = ready("trellis", f="identity")
    q, k, v, gates = inputs(rule, 50)
    start = rule.initial(q, v)
    _, end = scan(rule, start, q, k, v, gates)
    code = k @ rule.inner.learned["code"].mT
    retain, size = gates["log_retain_key"].exp(), gates["theta_key"] / 2
    mapped = (q, k, retain[..., None] * code, size / retain, gates["log_retain_key"])
    _, state = gated_delta(*mapped, initial_state=start.keys.mT)
    agree(end.keys.mT, state)


def test_hebbian_is_gated_linear_attention_by_channel_with_equal_channels():
    _, (q, k, v), gates, y, end = ours("hebbian")
    q, k, v, g = turned(q * q.shape[-1] ** 0.5, k, v * gates["theta"][..., None], gates["log_retain"])
    loop = reference("gla").naive_recurrent_gla
    expected, state = loop(q, k, v, g[..., None].expand_as(k), output_final_state=True)
    agree(y.transpose(1, 2), expected)
    agree(end.M_BHKV, state)


def test_delta_with_its_error_before_the_decay_is_comba_that_is_asked_by_keys_over_the_decay():
    _, (q, k, v), gates, y, end = ours("delta", error_on="pre_decay")
    asked = k / gates["log_retain"].exp()[..., None]
    q, k, v, p, beta, g = turned(q, k, v, asked, gates["beta"], gates["log_retain"])
    expected, state = reference("comba").naive_recurrent_comba(q, k, v, p, beta, g, scale=1.0, output_final_state=True)
    agree(y.transpose(1, 2), expected)
    agree(end.S_BHKV, state)


def test_delta_is_its_relatives_with_gates_by_channel_whose_channels_are_equal():
    _, (q, k, v), gates, y, end = ours("delta")
    q, k, v, beta, g = turned(q, k, v, gates["beta"], gates["log_retain"])
    g, more = g[..., None].expand_as(k), {"scale": 1.0, "output_final_state": True}
    erase, write = beta[..., None].expand_as(k), beta[..., None].expand_as(v)
    for found, state in (
        reference("kda").naive_recurrent_kda(q, k, v, g, beta, **more),
        reference("gdn2").naive_recurrent_gdn2(q, k, v, g, erase, write, **more),
    ):
        agree(y.transpose(1, 2), found)
        agree(end.S_BHKV, state)


@pytest.mark.parametrize("name", ["dgd", "delta"])
def test_rules_whose_state_meets_a_rank_one_matrix_are_diagonal_plus_low_rank(name):
    _, (q, k, v), gates, y, end = ours(name, **({"error_on": "pre_decay"} if name == "delta" else {}))
    size = gates["beta"] if name == "delta" else gates["eta"] / (1 + gates["eta"])
    lost = size if name == "delta" else 2 * size
    g = gates["log_retain"][..., None].expand_as(k)
    loop = reference("generalized_delta_rule/dplr").dplr_recurrence
    given = (q * q.shape[-1] ** 0.5, size[..., None] * k, v, k, -lost[..., None] * k, g)
    expected, state = loop(*(x.float() for x in given))
    agree(y, expected)
    agree(end.S_BHKV, state)


def test_atlas_that_learns_from_one_window_to_the_end_lands_at_the_ridge_regression_of_mesa():
    """Its fixed point, with weights gamma / window, is theta / (1 - eta) times less what it forgets: the ridge."""
    rule, tokens, window, retain, eta, theta = ready("atlas", window=64, bound="none"), 8, 64, 0.95, 0.5, 0.5
    q, k, v, gates = inputs(rule, window)
    gamma = torch.zeros_like(gates["gamma"])
    gamma[:, :, :tokens] = window * gates["gamma"][:, :, :tokens]
    logs = torch.tensor([retain, eta], dtype=torch.float64).log().tolist()
    still = {"log_retain": torch.full_like(gamma, logs[0]), "log_momentum": torch.full_like(gamma, logs[1])}
    v = v[..., : k.shape[-1]]
    y, end = rule.segment(
        rule.initial(q, v), q, k, v, {**still, "theta": torch.full_like(gamma, theta), "gamma": gamma}, 16
    )
    ridge = (1 - retain) * (1 - eta) / theta
    q, k, v, weights = turned(q, k[:, :, :tokens], v[:, :, :tokens], gamma[:, :, :tokens] / window)
    at = q[:, -1:].expand_as(k)
    lamb, g = torch.full((3, k.shape[-1]), ridge), torch.zeros_like(weights)
    expected, _, written = reference("mesa_net").naive_mesa_net_exact(at, k, v, g, lamb, weights)
    agree(y[:, :, -1], expected[:, -1], 1e-4)
    assert ((end.M_BHKV - written).norm() / written.norm()) > 0.1
