"""What holds for every algorithm that a recipe can name, in place of or on top of the plain one."""

import pytest

from training.engine import run_chunk
from training.run import Run
from training.windows import as_tensor

PLAIN = {"composition": "attention", "rule": "none"}

ALL_SSM = {"composition": "ssm", "rule": "none"}

ALGORITHMS = {
    "ssm": {"composition": "ssm", "rule": "none"},
    "ssm_beside_attention": {"composition": "ssm", "rule": "none", "ssm.attention": True},
    "universal": {**PLAIN, "loops": 3},
    "looped_band": {**PLAIN, "blocks": 3, "loops": 2, "loop_first": 2, "loop_last": 2, "loop_start": 0.5},
    "jepa": {**PLAIN, "auxiliary": "jepa"},
    "nca": {**PLAIN, "auxiliary": "nca"},
    "phi_nta": {**PLAIN, "adapter": "phi_nta"},
    "phi_nta_after_blocks": {**PLAIN, "blocks": 2, "loops": 2, "adapter": "phi_nta", "phi_nta.place": "blocks"},
    "all_together": {
        **ALL_SSM,
        "blocks": 2,
        "loops": 2,
        "adapter": "phi_nta",
        "phi_nta.rank": 3,
        "auxiliary": "jepa",
    },
}


@pytest.fixture(params=ALGORITHMS)
def recipe(request, small):
    return small(**ALGORITHMS[request.param])


def test_it_learns_within_thirty_steps(recipe, texts):
    run = Run(recipe, 1597, 30)
    losses = [run.train(as_tensor(texts.split("train"))) for _ in range(30)]
    assert losses[0] > 6
    assert sum(losses[-5:]) / 5 < 0.7 * losses[0]


def test_a_run_cut_in_the_middle_equals_the_uninterrupted_one_bit_for_bit(recipe, texts, store):
    usual = {"recipe": recipe, "seed": 2584, "total_steps": 11, "corpus": texts, "store": store}
    whole = run_chunk(steps=11, **usual)
    first = run_chunk(steps=4, **usual)
    second = run_chunk(steps=5, checkpoint=first.checkpoint, **usual)
    third = run_chunk(steps=2, checkpoint=second.checkpoint, **usual)
    assert whole.divergence is None
    assert (third.checkpoint, third.score) == (whole.checkpoint, whole.score)


def test_the_engine_echoes_the_recipe_it_ran(recipe, texts, store):
    done = run_chunk(recipe=recipe, seed=4181, total_steps=9, steps=1, corpus=texts, store=store)
    assert done.effective_recipe == recipe.as_json()
    assert done.effective_digest == recipe.digest
