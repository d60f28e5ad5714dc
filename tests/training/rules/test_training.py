"""Every memory rule inside a model that trains."""

import pytest
import torch

from training.checkpoint import unpack
from training.environment import environment
from training.recipe import recipe_from
from training.rules import rules
from training.run import Run, resumed
from training.windows import as_tensor

SIZE = {"width": 16, "heads": 2, "window": 8, "ngram": 2, "ngram_buckets": 64, "context": 24, "batch": 2}


@pytest.mark.parametrize("name", rules)
def test_a_model_with_the_rule_goes_on_from_a_checkpoint_bit_by_bit(name, texts):
    text = as_tensor(texts.split("train"))
    run = Run(recipe_from({**SIZE, "rule": name}), 1, 12)
    for _ in range(3):
        run.train(text)
    again = resumed(*unpack(run.checkpoint(environment())))
    rest = [run.train(text) for _ in range(2)]
    assert [again.train(text) for _ in range(2)] == rest
    assert again.checkpoint(environment()) == run.checkpoint(environment())
    assert run.finite()


def test_what_a_recipe_asks_of_its_rule_reaches_the_model_and_its_echo():
    asked = {
        "rule": "titans",
        "bias": "huber",
        "huber.per": "token",
        "retention": "elastic_net",
        "titans.bound": "calm",
    }
    recipe = recipe_from({**SIZE, **asked})
    run = Run(recipe, 0, 1)
    inner = run.model.blocks[0].mix.memory.rule.inner
    assert inner.named == {"bias": "huber", "retention": "elastic_net"}
    assert inner.options["bound"] == "calm"
    assert inner.error.keywords["options"]["per"] == "token"
    assert run.effective().digest == recipe.digest


def test_learned_tensors_of_a_rule_are_trained(texts):
    run = Run(recipe_from({**SIZE, "rule": "titans_mlp_frozen"}), 0, 9)
    before = {key: tensor.clone() for key, tensor in run.model.state_dict().items() if "learned" in key}
    assert len(before) == 2
    for _ in range(3):
        run.train(as_tensor(texts.split("train")))
    after = run.model.state_dict()
    assert all(not torch.equal(tensor, after[key]) for key, tensor in before.items())
