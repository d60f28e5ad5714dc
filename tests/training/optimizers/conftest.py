import pytest
import torch

from tests.optimizing import MULTIPLIERS, Problem, adam, row_adagrad
from training.optimizers import optimizers


@pytest.fixture
def problem():
    return Problem()


@pytest.fixture
def built(problem):
    """The optimizer of that name over the problem, other options at their defaults: built("sgd", momentum=0.5)."""

    def make(name, **options):
        defaults = {key: spec["default"] for key, spec in optimizers.about(name)["fields"].items()}
        assert options.keys() <= defaults.keys()
        return optimizers[name](problem.groups, {**defaults, **options})

    return make


@pytest.fixture
def follows(problem, built):
    """Assert that every parameter follows its rule at every step: follows("sgd", matrices=rule, dense=rule, lr=0.1).

    dense: of vectors and embeddings; without it they follow Adam. tables follow row-wise Adagrad.
    """

    def check(name, *, matrices, dense=adam, rtol=2e-5, atol=1e-6, **options):
        optimizer = built(name, **options)
        echo = optimizer.echo()
        rates = {"matrices": echo["lr"], "vectors": echo.get("vector_lr", echo["lr"])}
        rates |= {"embeddings": echo["embedding_lr"], "tables": echo["table_lr"]}
        rules = {"matrices": matrices, "vectors": dense, "embeddings": dense, "tables": row_adagrad}
        expected = {
            parameter: rules[kind](
                p.detach().double(),
                [gradient.double() for gradient in problem.gradients[parameter]],
                [rates[kind] * multiplier for multiplier in MULTIPLIERS],
            )
            for kind, named in problem.named.items()
            for parameter, p in named.items()
        }
        for step, multiplier in enumerate(MULTIPLIERS):
            problem.set_gradients(step)
            optimizer.step(multiplier)
            for parameter, rule in expected.items():
                found = problem.parameters[parameter].detach().double()
                torch.testing.assert_close(found, next(rule), rtol=rtol, atol=atol, msg=f"{parameter} at step {step}")
        return optimizer

    return check
