import pytest
import torch

from training.biases import biases
from training.recipe import recipe_from


def variants():
    """Every bias with its default options, and with every other value of its choices."""
    for name in biases:
        fields = biases.about(name).get("fields", {})
        default = {key: spec["default"] for key, spec in fields.items()}
        yield name, default
        for key, spec in fields.items():
            yield from ((name, {**default, key: value}) for value in spec.get("choices", [])[1:])


@pytest.mark.parametrize(("name", "options"), [*variants(), ("lp", {"p": 1.5, "clip": 9.0})])
def test_the_error_is_the_gradient_of_the_loss(name, options):
    random = torch.Generator().manual_seed(0)
    predicted, target = (2 * torch.randn(50, 6, generator=random, dtype=torch.float64) for _ in range(2))
    loss = biases[name].loss(predicted.requires_grad_(), target, options)
    (gradient,) = torch.autograd.grad(loss.sum(), predicted)
    torch.testing.assert_close(biases[name].error(predicted, target, options), gradient)


def test_an_l2_power_is_twice_the_squared_error():
    one, other = torch.tensor([0.3, -0.2]), torch.tensor([0.1, 0.4])
    error = biases["lp"].error(one, other, {"p": 2.0, "clip": 10.0})
    torch.testing.assert_close(error, 2 * biases["l2"].error(one, other, {}))


def test_small_errors_are_the_same_to_huber_and_to_the_squared_error():
    one, other = torch.tensor([0.3, -0.2]), torch.tensor([0.1, 0.4])
    for per in ("channel", "token", "switch"):
        error = biases["huber"].error(one, other, {"delta": 1.0, "per": per})
        torch.testing.assert_close(error, one - other)


def test_a_recipe_that_names_no_bias_is_the_recipe_it_was_before_there_were_any():
    plain = recipe_from({"rule": "titans"})
    assert recipe_from({"rule": "titans", "bias": "none", "retention": "none"}).digest == plain.digest
    assert "bias" not in plain.canonical
    assert recipe_from({"rule": "titans", "bias": "l2"}).digest != plain.digest
