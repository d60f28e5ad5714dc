import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.rules import MAPS, rules, scan


@pytest.fixture(params=rules)
def rule(request):
    return rules[request.param]


def inputs(rule, length, seed=0, dtype=torch.float64, spread=1.0):
    """Random q, k (unit length), v and gates of two rows, three heads, K 4, V 5."""
    random = torch.Generator().manual_seed(seed)
    shape = (2, 3, length)
    q, k, v = (torch.randn(*shape, size, generator=random, dtype=dtype) for size in (4, 4, 5))
    q, k = q / q.norm(dim=-1, keepdim=True), k / k.norm(dim=-1, keepdim=True)
    gates = {
        name: MAPS[spec["map"]](spread * torch.randn(shape, generator=random, dtype=dtype) + spec["bias"])
        for name, spec in rule.about["gates"].items()
    }
    return q, k, v, gates


@given(
    length=st.integers(1, 40), part=st.integers(1, 40), seed=st.integers(0, 999), spread=st.sampled_from([0.1, 1, 9])
)
@settings(max_examples=40, deadline=None)
def test_segments_of_any_length_equal_the_definition(length, part, seed, spread):
    for rule in rules.values():
        q, k, v, gates = inputs(rule, length, seed, spread=spread)
        slow, end = scan(rule, rule.initial(q, v), q, k, v, gates)
        fast, fast_end = rule.segment(rule.initial(q, v), q, k, v, gates, part)
        torch.testing.assert_close(fast, slow, rtol=1e-9, atol=1e-10)
        for one, other in zip(fast_end, end, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-10)


def test_float32_segments_stay_near_the_float64_definition(rule):
    q, k, v, gates = inputs(rule, 100)
    slow, _ = scan(rule, rule.initial(q, v), q, k, v, gates)
    q, k, v = q.float(), k.float(), v.float()
    fast, _ = rule.segment(rule.initial(q, v), q, k, v, {n: g.float() for n, g in gates.items()}, 64)
    torch.testing.assert_close(fast.double(), slow, rtol=1e-4, atol=1e-5)


def test_every_gradient_equals_that_of_the_definition(rule):
    gradients = []
    for form in (lambda *args: scan(rule, *args), lambda *args: rule.segment(*args, 7)):
        q, k, v, gates = inputs(rule, 23)
        leaves = [tensor.requires_grad_() for tensor in (q, k, v, *gates.values())]
        y, end = form(rule.initial(q, v), q, k, v, gates)
        loss = y.square().sum() + sum(tensor.sin().sum() for tensor in end)
        gradients.append(torch.autograd.grad(loss, leaves))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-9)


def test_output_does_not_see_the_future(rule):
    q, k, v, gates = inputs(rule, 30, dtype=torch.float32)
    before, _ = rule.segment(rule.initial(q, v), q, k, v, gates, 16)
    k[:, :, 20:], v[:, :, 20:] = -k[:, :, 20:], v[:, :, 20:] + 1
    after, _ = rule.segment(rule.initial(q, v), q, k, v, gates, 16)
    assert torch.equal(before[:, :, :20], after[:, :, :20])
    assert not torch.equal(before[:, :, 20:], after[:, :, 20:])


def test_repeated_keys_with_open_gates_stay_finite(rule):
    q, k, v, gates = inputs(rule, 300, dtype=torch.float32, spread=5.0)
    k = k[:, :, :1].expand_as(k)
    y, _ = rule.segment(rule.initial(q, v), q, k, v, gates, 64)
    assert y.isfinite().all()
    assert y.abs().max() < 10 * v.abs().max()


def test_delta_recalls_what_it_just_wrote_and_overwrites_what_it_knew():
    delta = rules["delta"]
    _, k, v, gates = inputs(delta, 2)
    k = k[:, :, :1].expand_as(k)
    sure = {"log_retain": torch.zeros_like(gates["beta"]), "beta": torch.ones_like(gates["beta"])}
    y, _ = delta.segment(delta.initial(k, v), k, k, v, sure, 2)
    torch.testing.assert_close(y, v)


def test_delta_with_beta_zero_only_forgets():
    delta = rules["delta"]
    q, k, v, gates = inputs(delta, 3)
    state = delta.initial(q, v)._replace(S_BHKV=torch.ones(2, 3, 4, 5, dtype=torch.float64))
    half = {"log_retain": torch.full_like(gates["beta"], math.log(0.5)), "beta": torch.zeros_like(gates["beta"])}
    _, end = delta.segment(state, q, k, v, half, 3)
    torch.testing.assert_close(end.S_BHKV, state.S_BHKV / 8)
