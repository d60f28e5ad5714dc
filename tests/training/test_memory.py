import pytest
import torch

from training.memory import TAPS, Memory, sum_of_taps
from training.recipe import recipe_from
from training.rules import rule_of, rules
from training.run import Run
from training.windows import as_tensor


@pytest.fixture(params=rules)
def memory(request):
    torch.manual_seed(0)
    layer = Memory(8, 2, rules[request.param])
    with torch.no_grad():
        layer.taps.normal_()
        layer.gate.weight.normal_()
    return layer.double()


def test_the_short_convolution_is_the_sum_over_its_taps():
    p, taps = torch.randn(2, 9, 3), torch.randn(TAPS, 3)
    r = sum_of_taps(p, taps)
    for t in range(9 - (TAPS - 1)):
        expected = sum(taps[j] * p[:, t + TAPS - 1 - j] for j in range(TAPS))
        torch.testing.assert_close(r[:, t], expected)


def test_parts_with_carried_state_equal_the_whole(memory):
    x = torch.randn(2, 100, 8, dtype=torch.float64)
    whole, end = memory(x, None)
    parts, carried = [], None
    for part in torch.tensor_split(x, [1, 3, 50], dim=1):
        y, carried = memory(part, carried)
        parts.append(y)
    most = 1e-6 if memory.learned else 1e-9  # a network amplifies rounding from token to token
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=most, atol=most)
    for one, other in zip((carried.tail, *carried.state), (end.tail, *end.state), strict=True):
        torch.testing.assert_close(one, other, rtol=most, atol=most)


def test_rows_of_a_batch_do_not_share_a_memory(memory):
    x = torch.randn(2, 20, 8, dtype=torch.float64)
    both, _ = memory(x, None)
    alone, _ = memory(x[1:], None)
    torch.testing.assert_close(both[1:], alone)


def test_gates_start_at_the_biases_that_the_rule_declares():
    layer = Memory(8, 2, rules["delta"])
    gates = layer.gates(torch.randn(1, 5, 8))
    torch.testing.assert_close(gates["beta"], torch.full((1, 2, 5), 0.5))
    torch.testing.assert_close(gates["log_retain"].exp(), torch.full((1, 2, 5), torch.tensor(4.0).sigmoid().item()))


FREE = [
    (name, norm)
    for name in rules
    for norm in ("rms", "none")
    if norm in rules.about(name)["combines"].get("rule.norm_of_qk", ["rms", "none"])
]


@pytest.mark.parametrize(("name", "norm"), FREE)
def test_rules_that_take_keys_of_any_length_stay_finite_with_long_ones_that_repeat(name, norm):
    recipe = recipe_from({"width": 32, "rule": name, "rule.norm_of_qk": norm})
    torch.manual_seed(0)
    layer = Memory(32, 2, rule_of(recipe))
    x = 5 * torch.randn(1, 1, 32).expand(1, 100, 32) + torch.randn(1, 100, 32)
    y, carried = layer(x, None)
    lengths = layer.norm(torch.full((3, 16), 9.0)).norm(dim=-1)
    torch.testing.assert_close(lengths, torch.full((3,), 4.0 if norm == "rms" else 36.0))
    assert y.isfinite().all()
    assert max(tensor.double().abs().max() for tensor in carried.state) < 1e4


def test_alpha_that_is_forgotten_is_another_spelling_of_one_that_is_kept(small, texts):
    text, losses, gates = as_tensor(texts.split("train")), [], []
    for meaning in ("retain", "forget"):
        recipe = small(rule="titans", **{"rule.alpha_means": meaning})
        run = Run(recipe, 3, 8)
        losses.append([run.train(text) for _ in range(8)])
        gates.append(run.model.blocks[0].mix.memory.gate.bias.detach().view(3, 2))
        assert run.effective().digest == recipe.digest
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    torch.testing.assert_close(gates[0] * torch.tensor([[-1.0], [1.0], [1.0]]), gates[1], rtol=1e-2, atol=1e-3)
