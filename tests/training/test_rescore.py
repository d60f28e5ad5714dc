import pytest

from training.checkpoint import unpack
from training.engine import run_chunk
from training.optimizers import optimizers
from training.rescore import rescore
from training.run import resumed
from training.scorer import score


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
    again = rescore(data, texts.split("validation"), recipe_digest=recipe.digest, seed=3, total_steps=12, step=4)
    assert again.score == measured
    assert again.same_environment


def test_schedulefree_is_scored_at_its_average_and_not_where_it_trains(trained, texts):
    _, data, measured = trained("schedulefree")
    run = resumed(*unpack(data))
    where_it_trains = score(run.predict, texts.split("validation"), probe_seed=0)
    assert abs(where_it_trains.bpb - measured.bpb) > 1e-3
