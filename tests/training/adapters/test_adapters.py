import pytest
import torch

from training.adapters import adapters
from training.model import ByteModel
from training.recipe import recipe_from
from training.run import Run
from training.windows import as_tensor

PLACES = [(name, place) for name in adapters for place in ("head", "blocks")]


@pytest.fixture(params=PLACES, ids="-".join)
def recipe(request, small):
    name, place = request.param
    return lambda **changes: small(adapter=name, blocks=3, **{f"{name}.place": place, **changes})


def test_an_adapter_stands_before_the_head_or_one_after_every_block(recipe):
    model = ByteModel(recipe())
    assert len(model.adapters) == (1 if model.adapters[0].place == "head" else 3)


def test_the_trunk_is_its_blocks_with_the_adapters_written_out(recipe):
    torch.manual_seed(0)
    model = ByteModel(recipe()).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    ids = torch.randint(256, (2, 30))
    layers, _ = model.trunk(ids)
    x = layers[0]
    for index, block in enumerate(model.blocks):
        x, _ = block(x, None)
        x = model.adapters[index](x) if len(model.adapters) == 3 else x
    x = model.adapters[0](x) if len(model.adapters) == 1 else x
    assert torch.equal(layers[-1], x)
    assert torch.equal(model(ids)[0], model.logits(x))


def test_each_token_is_adapted_by_itself(recipe):
    adapter = ByteModel(recipe()).adapters[0]
    x = torch.randn(1, 9, 16)
    other = x.clone()
    other[:, 4] += 1
    moved = (adapter(x) != adapter(other)).any(-1)[0]
    assert moved.tolist() == [t == 4 for t in range(9)]


def test_every_parameter_moves_when_trained(recipe, texts):
    run = Run(recipe(), 1, 10)
    before = {key: tensor.clone() for key, tensor in run.model.adapters.state_dict().items()}
    for _ in range(4):
        run.train(as_tensor(texts.split("train")))
    after = run.model.adapters.state_dict()
    assert before.keys() == after.keys()
    assert all(not torch.equal(after[key], tensor) for key, tensor in before.items())


def test_options_reach_the_engine(recipe):
    wanted = recipe(**{"phi_nta.rank": 5}) if recipe().adapter == "phi_nta" else recipe()
    assert Run(wanted, 0, 1).effective().digest == wanted.digest


def test_without_an_adapter_a_recipe_keeps_its_digest():
    assert recipe_from({"adapter": "none", "auxiliary": "none"}).digest == recipe_from({}).digest
