import pytest
import torch

from tests.optimizing import MULTIPLIERS, Problem, newton_schulz
from training.optimizers import optimizers

BETA1, BETA2, BETA3, SLOW = 0.9, 0.8, 0.7, 0.4
OPTIONS = {"lr": 0.05, "beta1": BETA1, "beta2": BETA2, "beta3": BETA3, "slow": SLOW, "period": 2, "weight_decay": 0.1}


def rule(*, levels, accumulate, oriented, second_moment, length):
    """The equations of M3, from the whole history of gradients at every step instead of from buffers."""

    def momentum(xs, beta):
        if accumulate == "sum":
            return beta * sum(xs)
        return sum((1 - beta) * beta ** (len(xs) - 1 - i) * x for i, x in enumerate(xs))

    def steps(w, gradients, rates):
        for t, lr in enumerate(rates, start=1):
            update = oriented(momentum(gradients[:t], BETA1))
            for level in range(1, levels):
                period = 2**level
                windows = [sum(gradients[i : i + period]) for i in range(0, t - period + 1, period)]
                if windows:
                    update = update + SLOW * oriented(momentum(windows, BETA3))
            if second_moment:
                update = update / (momentum([g**2 for g in gradients[:t]], BETA2).sqrt() + 1e-8)
            if length == "rms":
                update = update * 0.2 * w.numel() ** 0.5 / update.norm()
            w = (1 - lr * 0.1) * w - lr * update
            yield w

    return steps


@pytest.mark.parametrize("accumulate", ["ema", "sum"])
@pytest.mark.parametrize("levels", [1, 2, 3])
def test_it_follows_the_equations_of_m3(follows, accumulate, levels):
    given = {"levels": levels, "accumulate": accumulate, "length": "rms", "second_moment": True}
    follows("m3", matrices=rule(oriented=newton_schulz, **given), **given, **OPTIONS, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("accumulate", ["ema", "sum"])
def test_without_newton_schulz_it_is_momentum_of_several_rates(follows, accumulate):
    given = {"levels": 3, "accumulate": accumulate, "length": "none", "second_moment": False}
    follows("m3", matrices=rule(oriented=lambda x: x, **given), **given, **OPTIONS, newton_schulz=False)


def test_with_one_level_and_no_second_moment_it_is_muon(problem, built):
    shared = {"lr": 0.02, "weight_decay": 0.1}
    plain = {"levels": 1, "second_moment": False, "nesterov": True, "length": "muon", "beta1": 0.95}
    m3, other = built("m3", **shared, **plain), Problem()
    defaults = {key: spec["default"] for key, spec in optimizers.about("muon")["fields"].items()}
    muon = optimizers["muon"](other.groups, {**defaults, **m3.rest.echo(), **shared, "momentum": 0.95})
    for step, multiplier in enumerate(MULTIPLIERS):
        for each, optimizer in ((problem, m3), (other, muon)):
            each.set_gradients(step)
            optimizer.step(multiplier)
        for name, parameter in problem.parameters.items():
            torch.testing.assert_close(parameter, other.parameters[name], rtol=1e-6, atol=1e-7)


def test_a_slow_direction_is_held_between_its_refreshes(problem, built):
    optimizer, held = built("m3", period=3), []
    for step, multiplier in enumerate(MULTIPLIERS):
        problem.set_gradients(step)
        optimizer.step(multiplier)
        held.append(optimizer.state()["matrices.6x6.held1"].clone())
    assert [i + 1 for i in range(1, 9) if not torch.equal(held[i], held[i - 1])] == [3, 6, 9]
    assert held[1].eq(0).all()
