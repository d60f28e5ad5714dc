import pytest
import torch

from tests.optimizing import MULTIPLIERS


def averaged(w, gradients, rates, decay=0.0, beta1=0.9, beta2=0.95):
    """Defazio et al. 2024, equations 20 to 22 -> (y, x) after each step."""
    x, z, v, total = w, w, torch.zeros_like(w), 0.0
    for t, (g, lr) in enumerate(zip(gradients, rates, strict=True), start=1):
        y = (1 - beta1) * z + beta1 * x
        v = beta2 * v + (1 - beta2) * g**2
        z = z - lr * (g / ((v / (1 - beta2**t)).sqrt() + 1e-10) + decay * y)
        total += lr**2
        x = x + lr**2 / total * (z - x)
        yield (1 - beta1) * z + beta1 * x, x


def rule(decay):
    return lambda *given: (y for y, _ in averaged(*given, decay))


OPTIONS = {"lr": 0.05, "weight_decay": 0.1, "beta2": 0.95}


def test_it_follows_the_equations_where_gradients_are_taken(follows):
    follows("schedulefree", matrices=rule(0.1), dense=rule(0.0), **OPTIONS)


def test_it_is_scored_at_the_average_and_then_goes_on_with_the_same_bits(problem, built):
    first = {name: p.detach().double() for name, p in problem.named["matrices"].items()}
    optimizer = built("schedulefree", **OPTIONS)
    rates = [0.05 * multiplier for multiplier in MULTIPLIERS]
    for step, multiplier in enumerate(MULTIPLIERS):
        problem.set_gradients(step)
        optimizer.step(multiplier)
    before = {name: p.detach().clone() for name, p in problem.parameters.items()}
    with optimizer.evaluation_weights():
        for name, w in first.items():
            *_, (y, x) = averaged(w, [g.double() for g in problem.gradients[name]], rates, 0.1)
            torch.testing.assert_close(problem.parameters[name].detach().double(), x, rtol=2e-5, atol=2e-6)
            assert (x - y).abs().max() > 1e-3
    assert all(torch.equal(p, before[name]) for name, p in problem.parameters.items())


def test_an_error_while_scoring_gives_the_weights_back(problem, built):
    optimizer = built("schedulefree")
    problem.set_gradients(0)
    optimizer.step(1.0)
    before = {name: p.detach().clone() for name, p in problem.parameters.items()}
    with pytest.raises(KeyError), optimizer.evaluation_weights():
        raise KeyError
    assert all(torch.equal(p, before[name]) for name, p in problem.parameters.items())
