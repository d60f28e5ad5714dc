import pytest
import torch

from errors import ImpossibleCombination
from tests.memories import inputs
from training.recipe import STRATEGIES, recipe_from
from training.rules import rule_of, rules, scan
from training.run import Run
from training.scans import starts_and_end
from training.windows import as_tensor


@pytest.mark.parametrize("count", [1, 2, 3, 8, 13])
@pytest.mark.parametrize("states", [1, 2])
def test_a_scan_is_the_loop(count, states):
    random = torch.Generator().manual_seed(0)
    A = torch.randn(2, 3, count, states, states, generator=random, dtype=torch.float64)
    u = torch.randn(2, 3, count, states, 5, generator=random, dtype=torch.float64)
    S = torch.randn(2, 3, states, 5, generator=random, dtype=torch.float64)
    starts, end = starts_and_end(A, u, S)
    for n in range(count):
        torch.testing.assert_close(starts[:, :, n], S, rtol=1e-10, atol=1e-10)
        S = A[:, :, n] @ S + u[:, :, n]
    torch.testing.assert_close(end, S, rtol=1e-10, atol=1e-10)


SCANNED = [{"rule": "hebbian"}, {"rule": "titans", "bias": "dot"}]


@pytest.mark.parametrize("fields", SCANNED, ids=lambda fields: fields["rule"])
@pytest.mark.parametrize("read_at", ["after", "before"])
@pytest.mark.parametrize("length", [1, 8, 29, 64])
def test_a_memory_by_scan_equals_its_definition_with_every_gradient(fields, read_at, length):
    given = {**fields, f"{fields['rule']}.read_at": read_at}
    plain, fast = rule_of(recipe_from(given)), rule_of(recipe_from({**given, "strategy": "scan"}))
    found = []
    for form in (lambda *args: scan(plain, *args[:-1]), fast.segment):
        q, k, v, gates = inputs(plain, length)
        leaves = [tensor.requires_grad_() for tensor in (q, k, v, *gates.values())]
        start = type(plain.initial(q, v))(*(torch.ones_like(tensor) for tensor in plain.initial(q, v)))
        y, end = form(start, q, k, v, gates, 5)
        loss = y.square().sum() + sum(tensor.sin().sum() for tensor in end)
        found.append([y, *end, *torch.autograd.grad(loss, leaves)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("rule", rules)
def test_a_rule_takes_the_strategies_that_it_lists_and_refuses_others_by_name(rule, strategy):
    about = rules.about(rule)
    bias = about.get("needs", {}).get(strategy, {}).get("bias", ["none"])[0]
    fields = {"rule": rule, "strategy": strategy, "bias": bias}
    if strategy not in about.get("strategies", STRATEGIES[:2]):
        with pytest.raises(ImpossibleCombination, match=f"{rule} has no strategy {strategy}; it has: "):
            recipe_from(fields)
        return
    recipe = recipe_from({**fields, "width": 16})
    assert Run(recipe, 0, 1).effective().digest == recipe.digest


def test_what_a_strategy_needs_is_refused_by_name():
    with pytest.raises(ImpossibleCombination, match="titans has strategy scan only with bias dot, not none"):
        recipe_from({"rule": "titans", "strategy": "scan"})
    with pytest.raises(ImpossibleCombination, match="this recipe has rule none"):
        recipe_from({"composition": "attention", "rule": "none", "strategy": "step"})


@pytest.mark.parametrize("fields", [{"rule": "delta"}, *SCANNED], ids=lambda fields: fields["rule"])
def test_strategies_are_the_same_model_to_rounding(small, texts, fields):
    text, first = as_tensor(texts.split("train")), []
    for strategy in rules.about(fields["rule"])["strategies"]:
        run = Run(small(**fields, strategy=strategy), 3, 8)
        first.append([run.train(text) for _ in range(4)])
    for losses in first[1:]:
        assert losses == pytest.approx(first[0], rel=1e-3)
