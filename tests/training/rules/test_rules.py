import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.memories import inputs, ready
from training.rules import rules, scan


@pytest.fixture(params=rules)
def name(request):
    return request.param


@pytest.fixture
def rule(name):
    return ready(name)


def distance(one, other):
    """Relative L2 distance."""
    return ((one - other).double().norm() / (other.double().norm() + 1e-12)).item()


@pytest.mark.parametrize("name", rules)
@given(
    length=st.integers(1, 40), part=st.integers(1, 40), seed=st.integers(0, 999), spread=st.sampled_from([0.1, 1, 9])
)
@settings(max_examples=6, deadline=None)
def test_segments_of_any_length_equal_the_definition(name, length, part, seed, spread):
    rule = ready(name, seed)
    q, k, v, gates = inputs(rule, length, seed, spread=spread)
    slow, end = scan(rule, rule.initial(q, v), q, k, v, gates)
    fast, fast_end = rule.segment(rule.initial(q, v), q, k, v, gates, part)
    assert distance(fast, slow) < 1e-10
    for one, other in zip(fast_end, end, strict=True):
        assert distance(one, other) < 1e-10


def variants():
    """Every rule with every value of its options that name a choice."""
    for name in rules:
        for key, spec in rules.about(name).get("fields", {}).items():
            for value in spec.get("choices", [not spec["default"]] if isinstance(spec["default"], bool) else []):
                if value != spec["default"]:
                    yield pytest.param(name, {key: value}, id=f"{name}-{key}-{value}")


@pytest.mark.parametrize(("name", "options"), list(variants()))
def test_segments_equal_the_definition_under_every_option_and_at_any_cut(name, options):
    rule = ready(name, **options)
    q, k, v, gates = inputs(rule, 43)
    slow, end = scan(rule, rule.initial(q, v), q, k, v, gates)
    parts, state, edges = [], rule.initial(q, v), [0, 1, 20, 43]
    for start, stop in pairwise(edges):
        tokens = (x[:, :, start:stop] for x in (q, k, v))
        y, state = rule.segment(state, *tokens, {n: g[:, :, start:stop] for n, g in gates.items()}, 8)
        parts.append(y)
    assert distance(torch.cat(parts, 2), slow) < 1e-10
    for one, other in zip(state, end, strict=True):
        assert distance(one, other) < 1e-10


def test_float32_segments_stay_near_the_float64_definition(rule, name):
    q, k, v, gates = inputs(rule, 70)
    slow, _ = scan(rule, rule.initial(q, v), q, k, v, gates)
    single = ready(name, dtype=torch.float32)
    q, k, v = q.float(), k.float(), v.float()
    fast, _ = single.segment(single.initial(q, v), q, k, v, {n: g.float() for n, g in gates.items()}, 64)
    assert distance(fast, slow) < (
        5e-3 if "wrap" in rule.about.get("fields", {}) else 1e-5
    )  # networks amplify rounding


def test_every_gradient_equals_that_of_the_definition(rule):
    gradients = []
    for form in (lambda *args: scan(rule, *args), lambda *args: rule.segment(*args, 7)):
        q, k, v, gates = inputs(rule, 23)
        learned = list(rule.inner.learned.values()) if rule.inner else []
        leaves = [tensor.requires_grad_() for tensor in (q, k, v, *gates.values(), *learned)]
        y, end = form(rule.initial(q, v), q, k, v, gates)
        loss = y.square().sum() + sum(tensor.sin().sum() for tensor in end)
        gradients.append(torch.autograd.grad(loss, leaves))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-9)


def test_gradients_are_those_of_finite_differences(rule):
    q, k, v, gates = (x[:1, :1, :4] if torch.is_tensor(x) else x for x in inputs(rule, 4))
    gates = {name: gate[:1, :1].requires_grad_() for name, gate in gates.items()}
    rule = rule.with_learned({n: x[:1] for n, x in rule.inner.learned.items()}) if rule.inner else rule
    leaves = [x.requires_grad_() for x in (q, k, v)]

    def outputs(q, k, v, *rest):
        given = dict(zip(gates, rest, strict=True))
        return rule.segment(rule.initial(q, v), q, k, v, given, 3)[0]

    assert torch.autograd.gradcheck(outputs, (*leaves, *gates.values()), fast_mode=True)


def test_output_does_not_see_the_future(name):
    rule = ready(name, dtype=torch.float32)
    q, k, v, gates = inputs(rule, 40, dtype=torch.float32)
    before, _ = rule.segment(rule.initial(q, v), q, k, v, gates, 16)
    k[:, :, 20:], v[:, :, 20:] = -k[:, :, 20:], v[:, :, 20:] + 1
    after, _ = rule.segment(rule.initial(q, v), q, k, v, gates, 16)
    assert torch.equal(before[:, :, :20], after[:, :, :20])
    assert not torch.equal(before[:, :, 20:], after[:, :, 20:])


def test_repeated_keys_with_open_gates_stay_finite(name):
    rule = ready(name, dtype=torch.float32)
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
