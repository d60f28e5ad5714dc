import pytest
import torch

from tests.optimizing import MULTIPLIERS, Problem
from training.optimizers import optimizers


def moved(name, options):
    """All parameters after nine steps, and at the weights that are scored."""
    problem = Problem()
    optimizer = optimizers[name](problem.groups, options)
    for step, multiplier in enumerate(MULTIPLIERS):
        problem.set_gradients(step)
        optimizer.step(multiplier)
    with optimizer.evaluation_weights():
        return torch.cat([parameter.detach().flatten().clone() for parameter in problem.parameters.values()])


def others(spec):
    """Values that are not the default."""
    if isinstance(spec["default"], bool):
        return [not spec["default"]]
    if isinstance(spec["default"], str):
        return [value for value in spec["choices"] if value != spec["default"]]
    return [type(spec["default"])(value) for value in (spec["min"], (spec["min"] + spec["max"]) / 2)]


@pytest.mark.parametrize("name", optimizers)
def test_every_option_reaches_the_weights(name):
    fields = optimizers.about(name)["fields"]
    usual = {key: spec["default"] for key, spec in fields.items()}
    if "period" in usual:
        usual["period"] = 2
    before = moved(name, usual)
    for key, spec in fields.items():
        after = [moved(name, {**usual, key: value}) for value in others(spec)]
        differs = [not torch.equal(before, each) for each in after]
        assert any(differs) if isinstance(spec["default"], float | int) else all(differs), key
    assert torch.equal(before, moved(name, usual))
