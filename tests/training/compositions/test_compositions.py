import pytest
import torch

from training.compositions import compositions
from training.model import ByteModel
from training.run import Run

PERSISTENT = [name for name in compositions if "persistent" in compositions.about(name).get("fields", {})]


@pytest.fixture(params=PERSISTENT)
def name(request):
    return request.param


def shaken(recipe):
    """A composition whose every branch acts, in float64."""
    torch.manual_seed(0)
    layer = ByteModel(recipe).blocks[0].mix
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return layer.double()


def states(length, seed=0):
    return torch.randn(2, length, 16, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_persistent_tokens_are_seen_by_every_position_of_every_part(name, small):
    layer = shaken(small(composition=name, window=4, **{f"{name}.persistent": 4}))
    x, outputs = states(60), []
    for shift in (0.0, 1.0):
        with torch.no_grad():
            layer.persistent.tokens[2] += shift
        carried, parts = None, []
        for part in x.split(17, dim=1):
            y, carried = layer(part, carried)
            parts.append(y)
        outputs.append(torch.cat(parts, 1))
    assert ((outputs[0] - outputs[1]).abs().amax(-1) > 1e-9).all()


@pytest.mark.parametrize("cuts", [[1], [3, 4, 5, 41], [16, 32, 48], [7, 30, 31, 59]])
def test_with_persistent_tokens_parts_equal_the_whole(name, small, cuts):
    layer = shaken(small(composition=name, window=5, **{f"{name}.persistent": 7}))
    x = states(60)
    whole, _ = layer(x, None)
    carried, parts = None, []
    for part in torch.tensor_split(x, cuts, dim=1):
        y, carried = layer(part, carried)
        parts.append(y)
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=1e-9, atol=1e-9)


def test_with_persistent_tokens_nothing_of_the_future_is_seen_by_one_bit(name, small):
    layer = shaken(small(composition=name, window=5, **{f"{name}.persistent": 4})).float()
    x = states(60).float()
    other = x.clone()
    other[:, 23:] += 1
    before, after = layer(x, None)[0], layer(other, None)[0]
    assert torch.equal(before[:, :23], after[:, :23])
    assert not torch.equal(before[:, 23], after[:, 23])


def test_the_number_of_persistent_tokens_reaches_the_engine(name, small):
    recipe = small(composition=name, **{f"{name}.persistent": 5})
    assert Run(recipe, 0, 1).effective().digest == recipe.digest
    assert ByteModel(recipe).blocks[0].mix.persistent.tokens.shape == (5, 16)


def test_persistent_tokens_start_small_and_get_a_gradient(name, small):
    torch.manual_seed(0)
    layer = ByteModel(small(composition=name, **{f"{name}.persistent": 16})).blocks[0].mix
    assert 0.015 < layer.persistent.tokens.std() < 0.025
    with torch.no_grad():
        layer.out.weight.normal_()
    layer(states(30).float(), None)[0].square().sum().backward()
    assert (layer.persistent.tokens.grad.abs().amax(1) > 0).all()
