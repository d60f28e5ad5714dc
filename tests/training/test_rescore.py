"""What a chunk measured, measured again from its checkpoint: also where a model learns while it is scored."""

import pytest

from training.engine import run_chunk
from training.rescore import rescore
from training.ttt import ttt

TOTAL = 4


@pytest.fixture(params=ttt)
def recipe(request, small):
    fields = {"ttt.stride": 64, **({"e2e.outer_fraction": 0.6} if request.param == "e2e" else {})}
    return small(ttt=request.param, context=50, batch=9, **fields)


def train(recipe, texts, store, steps=TOTAL, checkpoint=None):
    return run_chunk(
        recipe=recipe, seed=3, total_steps=TOTAL, steps=steps, corpus=texts, store=store, checkpoint=checkpoint
    )


def test_a_checkpoint_is_rescored_to_the_chunk_s_number_to_the_bit(recipe, texts, store):
    chunk = train(recipe, texts, store)
    found = rescore(
        store.get(chunk.checkpoint), texts.split("validation"), documents=texts.lengths("validation"),
        recipe_digest=recipe.digest, seed=3, total_steps=TOTAL, step=TOTAL,
    )  # fmt: skip
    assert found.score == chunk.score
    assert found.same_environment
    assert chunk.effective_digest == recipe.digest


def test_a_run_cut_in_two_equals_the_uninterrupted_run(recipe, texts, store):
    whole = train(recipe, texts, store)
    first = train(recipe, texts, store, 3)
    second = train(recipe, texts, store, 1, first.checkpoint)
    assert (second.checkpoint, second.score) == (whole.checkpoint, whole.score)
