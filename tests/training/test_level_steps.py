import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from tests.optimizing import adam
from training.level_steps import LevelOptions, Levels, LevelSteps
from training.optimizers import Adam


def parameter(seed=0):
    return nn.Parameter(torch.randn(4, 3, generator=torch.Generator().manual_seed(seed)))


def gradients(count, seed=1):
    return torch.randn(count, 4, 3, generator=torch.Generator().manual_seed(seed))


def level(weight, period, **options):
    return LevelSteps({"weight": weight}, LevelOptions(period=period, lr=0.01, **options))


def train(steps, weight, given):
    """Each gradient in turn -> at which of them, counted from one, the weight moved."""
    moved = []
    for number, gradient in enumerate(given, start=1):
        weight.grad, before = gradient.clone(), weight.detach().clone()
        steps.step(1.0)
        if not torch.equal(weight, before):
            moved.append(number)
    return moved


@pytest.mark.parametrize("period", [1, 8, 64, 512])
def test_a_level_moves_at_every_period_and_at_no_other_step(period):
    weight = parameter()
    steps = level(weight, period)
    assert train(steps, weight, gradients(1000)) == list(range(period, 1001, period))
    assert int(steps.moves) == 1000 // period == int(steps.adam.state()["weight.step"])


@pytest.mark.parametrize(("reduction", "factor"), [("sum", 1.0), ("mean", 1 / 5), ("root", 5**-0.5)])
def test_it_follows_adamw_over_reduced_gradients_with_its_own_step_counter(reduction, factor):
    weight, given = parameter(), gradients(20)
    reduced = list(factor * given.double().view(4, 5, 4, 3).sum(1))
    *_, expected = adam(weight.detach().double(), reduced, [0.01] * 4, betas=(0.9, 0.95), decay=0.1)
    train(level(weight, 5, reduction=reduction, betas=(0.9, 0.95), weight_decay=0.1), weight, given)
    torch.testing.assert_close(weight.detach().double(), expected, rtol=1e-5, atol=1e-6)


def test_with_period_one_it_is_adam_bit_for_bit():
    weight, other, given = parameter(), parameter(), gradients(6)
    bare = Adam([({"weight": other}, 0.01, 0.0)], (0.9, 0.99))
    train(level(weight, 1), weight, given)
    train(bare, other, given)
    assert torch.equal(weight, other)


class Operations(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.append(function.__name__.split(".")[0])
        return function(*args, **(kwargs or {}))


def test_a_level_that_does_not_move_costs_one_addition():
    weight = parameter()
    steps = level(weight, 2)
    weight.grad = gradients(1)[0]
    with Operations() as still:
        assert not steps.step(1.0)
    with Operations() as moving:
        assert steps.step(1.0)
    assert [name for name in still.names if name != "_local_scalar_dense"] == ["add_", "add_"]  # buffer and count
    assert "_fused_adamw_" in moving.names


def test_nothing_buffered_moves_nothing():
    weight = parameter()
    steps, before = level(weight, 4), parameter()
    assert not steps.apply(1.0)
    assert torch.equal(weight, before)
    assert int(steps.moves) == 0


def test_a_part_of_a_period_can_be_applied_or_discarded():
    weight = parameter()
    steps = level(weight, 4)
    train(steps, weight, gradients(3))
    steps.discard()
    assert not steps.apply(1.0)
    train(steps, weight, gradients(3))
    assert steps.apply(1.0)
    assert int(steps.count) == 0
    assert steps.state()["weight.buffer"].eq(0).all()


def test_applying_gives_the_gradient_back():
    weight = parameter()
    gradient = gradients(1)[0]
    weight.grad = gradient
    assert level(weight, 1).step(1.0)
    assert weight.grad is gradient


def test_levels_keep_their_own_clocks_and_resume_bit_for_bit():
    def made():
        weights = [parameter(seed) for seed in range(3)]
        return weights, Levels([level(weight, period) for weight, period in zip(weights, (1, 2, 4), strict=True)])

    def go(weights, levels, given):
        moved = []
        for gradient in given:
            for weight in weights:
                weight.grad = gradient.clone()
            moved.append(levels.step(1.0))
        return moved

    given = gradients(8)
    weights, levels = made()
    assert go(weights, levels, given) == [[0], [0, 1], [0], [0, 1, 2]] * 2
    for cut in range(9):
        first, half = made()
        go(first, half, given[:cut])
        second, rest = made()
        with torch.no_grad():
            for old, new in zip([*first, *half.state().values()], [*second, *rest.state().values()], strict=True):
                new.copy_(old)
        go(second, rest, given[cut:])
        assert all(torch.equal(*pair) for pair in zip(weights, second, strict=True)), cut
        assert all(torch.equal(value, rest.state()[key]) for key, value in levels.state().items()), cut
