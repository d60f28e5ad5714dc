"""What a chunk measured, measured again from its checkpoint: also where a model learns while it is scored."""

import pytest

from training.checkpoint import unpack
from training.engine import run_chunk
from training.optimizers import optimizers
from training.rescore import rescore
from training.run import resumed
from training.scorer import score
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


@pytest.fixture
def trained(small, texts, store):
    """A checkpoint after 4 of 12 steps and the chunk's score: trained("lion") -> (recipe, data, score)."""

    def train(optimizer):
        recipe = small(optimizer=optimizer)
        chunk = run_chunk(recipe=recipe, seed=3, total_steps=12, steps=4, corpus=texts, store=store)
        return recipe, store.get(chunk.checkpoint), chunk.score

    return train


@pytest.mark.parametrize("optimizer", optimizers)
def test_a_checkpoint_scores_the_same_bits_as_the_chunk_that_made_it(trained, texts, optimizer):
    recipe, data, measured = trained(optimizer)
    again = rescore(
        data, texts.split("validation"), documents=texts.lengths("validation"),
        recipe_digest=recipe.digest, seed=3, total_steps=12, step=4,
    )  # fmt: skip
    assert again.score == measured
    assert again.same_environment


def test_schedulefree_is_scored_at_its_average_and_not_where_it_trains(trained, texts):
    _, data, measured = trained("schedulefree")
    run = resumed(*unpack(data))
    where_it_trains = score(run.predict, texts.split("validation"), probe_seed=0)
    assert abs(where_it_trains.bpb - measured.bpb) > 1e-3
