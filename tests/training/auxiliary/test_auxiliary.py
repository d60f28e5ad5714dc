import pytest
import torch

from training.auxiliary import at_depth, auxiliaries
from training.recipe import recipe_from
from training.run import Run
from training.windows import as_tensor

PLAIN = {"composition": "attention", "rule": "none"}


@pytest.fixture(params=auxiliaries)
def name(request):
    return request.param


@pytest.fixture
def always(name, small):
    """A recipe in which that loss has its full weight from the first step on."""
    timing = {"jepa.start": 0.0, "jepa.ramp": 0.0, "jepa.rest": 0.0} if name == "jepa" else {}
    return lambda **changes: small(**PLAIN, auxiliary=name, **timing, **changes)


def shared(run):
    """Weights of the model without those of the auxiliary loss."""
    return {key: tensor for key, tensor in run.model.state_dict().items() if not key.startswith("auxiliary.")}


def trained(recipe, texts, steps=6):
    run = Run(recipe, 1597, 6)
    return run, [run.train(as_tensor(texts.split("train"))) for _ in range(steps)]


def test_with_weight_zero_the_trunk_is_that_of_the_plain_recipe_bit_for_bit(name, small, texts):
    run, losses = trained(small(**PLAIN, auxiliary=name, **{f"{name}.weight": 0.0}), texts)
    plain, plain_losses = trained(small(**PLAIN), texts)
    assert losses == plain_losses
    assert run.told == {}
    assert shared(run).keys() == shared(plain).keys()
    for key, tensor in shared(run).items():
        assert torch.equal(tensor, shared(plain)[key]), key


def test_with_its_weight_it_moves_the_trunk(always, name, small, texts):
    run, losses = trained(always(**{f"{name}.weight": 1.0}), texts)
    plain, plain_losses = trained(small(**PLAIN), texts)
    assert losses[0] == plain_losses[0]
    assert not torch.equal(run.model.blocks[0].up.weight, plain.model.blocks[0].up.weight)
    assert all(key.startswith(f"{name}.") for key in run.told) and run.told


def test_predictions_read_nothing_of_it(always, texts):
    run, _ = trained(always(), texts)
    ids = torch.arange(40)[None]
    before = run.predict(ids)
    with torch.no_grad():
        for tensor in (*run.model.auxiliary.parameters(), *run.model.auxiliary.buffers()):
            tensor.fill_(float("nan"))
    assert torch.equal(run.predict(ids), before)


def test_the_loss_told_is_that_of_the_next_byte_alone(always, small, texts):
    assert trained(always(), texts, 1)[1] == trained(small(**PLAIN), texts, 1)[1]


def test_an_auxiliary_loss_that_is_not_finite_stops_the_run_before_any_weight_moves(always, texts):
    run, _ = trained(always(), texts, 2)
    before = {key: tensor.clone() for key, tensor in run.model.state_dict().items()}
    with torch.no_grad():
        run.model.auxiliary.forward = lambda layers: (layers[-1].sum() * float("inf"), {})
    assert not torch.isfinite(torch.tensor(run.train(as_tensor(texts.split("train")))))
    assert run.step == 2
    assert all(torch.equal(tensor, before[key]) for key, tensor in run.model.state_dict().items())


def test_options_reach_the_engine(name):
    fields = {f"{name}.{key}": spec["default"] for key, spec in auxiliaries.about(name)["fields"].items()}
    changed = {key: value / 2 if isinstance(value, float) else value + 1 for key, value in fields.items()}
    recipe = recipe_from({"auxiliary": name, **changed})
    assert Run(recipe, 0, 1).effective().digest == recipe.digest


def test_a_fraction_of_the_depth_is_the_layer_after_that_share_of_the_blocks():
    layers = [torch.tensor(float(i)) for i in range(5)]
    assert [at_depth(layers, depth).item() for depth in (0.0, 0.25, 0.5, 1.0)] == [1, 1, 2, 4]
