import math

import pytest
import torch

from training.checkpoint import CheckpointCorrupt, unpack
from training.environment import environment
from training.run import Run, resumed
from training.schedule import multiplier
from training.windows import as_tensor, window_batch


@pytest.fixture
def text(texts):
    return as_tensor(texts.split("train"))


def test_the_learning_rate_follows_the_schedule_over_the_whole_budget(small, text, monkeypatch):
    recipe, used = small(warmup=0.25, decay=0.5), []
    run = Run(recipe, 0, 8)
    monkeypatch.setattr(run.optimizer, "step", used.append)
    for _ in range(8):
        run.train(text)
    assert used == [multiplier((step + 0.5) / 8, 0.25, 0.5) for step in range(8)]
    assert used[0] < used[3] > used[7] > 0


def test_the_loss_told_is_that_of_the_step_s_bytes_before_any_weight_moved(small, text):
    recipe = small()
    inputs, targets = window_batch(text, seed=5, step=0, batch=recipe.batch, context=recipe.context)
    logp = Run(recipe, 5, 100).predict(inputs).gather(-1, targets[..., None])
    assert Run(recipe, 5, 100).train(text) == pytest.approx(-logp.mean().item() / math.log(2), rel=1e-5)


def test_making_a_run_leaves_the_global_random_state_alone(small):
    before = torch.random.get_rng_state()
    Run(small(), 0, 1)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_predictions_are_distributions(small):
    logp = Run(small(), 0, 1).predict(torch.randint(256, (2, 40), generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(logp.exp().sum(-1), torch.ones(2, 40))


def test_nothing_moves_where_the_loss_is_not_finite(small, text):
    run = Run(small(), 0, 10)
    with torch.no_grad():
        run.model.embedding[97] = math.nan
    before = {name: tensor.clone() for name, tensor in run.tensors().items()}
    assert math.isnan(run.train(text))
    assert run.step == 0
    assert not run.finite()
    for name, tensor in run.tensors().items():
        assert torch.equal(tensor.nan_to_num(), before[name].nan_to_num()), name


def test_a_checkpoint_holds_all_that_the_run_needs(small, text):
    run = Run(small(), 3, 10)
    run.train(text)
    again = resumed(*unpack(run.checkpoint(environment())))
    assert (again.recipe, again.seed, again.total_steps, again.step) == (run.recipe, 3, 10, 1)
    assert again.checkpoint(environment()) == run.checkpoint(environment())
    assert again.train(text) == run.train(text)


def test_a_checkpoint_whose_tensors_do_not_fit_its_recipe_is_refused(small):
    meta, tensors = unpack(Run(small(), 3, 10).checkpoint(environment()))
    with pytest.raises(CheckpointCorrupt):
        resumed(meta, {name: tensor for name, tensor in tensors.items() if name != "model.embedding"})
