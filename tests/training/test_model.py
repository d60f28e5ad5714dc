import pytest
import torch

from training.compositions import compositions
from training.model import ByteModel, head
from training.ngrams import BEGIN
from training.recipe import NONE
from training.rules import rules

PAIRS = [
    (composition, rule)
    for composition in compositions
    for rule in (rules if "*" in compositions.about(composition)["combines"]["rule"] else [NONE])
]


@pytest.fixture(params=PAIRS, ids="-".join)
def model(request, small):
    """A model of every composition with every rule, its weights shaken so that no branch is still zero."""
    composition, rule = request.param
    torch.manual_seed(0)
    model = ByteModel(small(composition=composition, rule=rule, blocks=2))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def ids(length, seed=0):
    random = torch.Generator().manual_seed(seed)
    text = torch.randint(256, (2, length), generator=random)
    text[:, 0] = BEGIN
    return text


def test_predictions_do_not_see_later_ids_by_one_bit(model):
    before_BT = ids(150)
    after_BT = before_BT.clone()
    after_BT[:, 77:] = (after_BT[:, 77:] + 1) % 256
    with torch.no_grad():
        before, after = model(before_BT)[0], model(after_BT)[0]
    assert torch.equal(before[:, :77], after[:, :77])
    assert not torch.equal(before[:, 77], after[:, 77])


CUTS = ([1], [64], [2, 3, 140], [50, 100])


def test_a_text_in_parts_with_carried_state_equals_the_text_at_once(model):
    model, text = model.double(), ids(150)
    with torch.no_grad():
        whole, _ = model(text)
        for cuts in CUTS:
            parts, carried = [], None
            for part in torch.tensor_split(text, cuts, dim=1):
                logits, carried = model(part, carried)
                parts.append(logits)
            torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=1e-9, atol=1e-9)


def test_memory_reaches_further_back_than_the_windows(small):
    torch.manual_seed(0)
    near, far = (ByteModel(small(composition=c, rule=r)) for c, r in (("attention", NONE), ("mag", "delta")))
    for model, reaches in ((near, False), (far, True)):
        with torch.no_grad():
            model.blocks[0].mix.out.weight.normal_()
        one = ids(60)
        other = one.clone()
        other[:, 5] = (other[:, 5] + 1) % 256
        assert torch.equal(model(one)[0][:, -1], model(other)[0][:, -1]) is not reaches


def test_every_parameter_gets_a_gradient(model):
    logits, _ = model(ids(100))
    logits.logsumexp(-1).sum().backward()
    for name, parameter in model.named_parameters():
        gradient = parameter.grad.to_dense()
        assert gradient.isfinite().all(), name
        assert gradient.abs().max() > 0, name


def test_model_echoes_the_recipe_it_was_built_from(small):
    recipe = small(width=32, blocks=3, heads=4, window=5, mlp_ratio=2, ngram=2, ngram_buckets=77, softcap=9.0)
    echo = ByteModel(recipe).echo()
    assert {key: recipe.as_json()[key] for key in echo} == dict(echo)


@pytest.mark.parametrize("ngram", [0, 1])
def test_without_ngrams_there_is_no_table(small, ngram):
    model = ByteModel(small(ngram=ngram))
    assert len(model.tables) == 0
    assert model(ids(9))[0].shape == (2, 9, 256)


def test_probabilities_are_those_of_tanh_soft_capped_logits():
    x, embedding = torch.randn(2, 30, 16, dtype=torch.float64).unbind(0)
    expected = (15 * torch.tanh(9 * x @ embedding.mT / 15)).log_softmax(-1)
    torch.testing.assert_close(head(9 * x, embedding, 15.0).log_softmax(-1), expected, rtol=1e-10, atol=1e-10)
