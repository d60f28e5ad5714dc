import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from errors import InvalidValue, UnknownName
from tests.training.conftest import SMALL
from training.build import built, flattened
from training.checkpoint import unpack
from training.environment import environment
from training.recipe import recipe_from
from training.run import Run, resumed

FIELDS = {**SMALL, "optimizer": "muon", "muon": {"lr": 0.01}}


def test_what_is_told_of_a_recipe_is_what_was_built():
    told, checkpoint = built(FIELDS, seed=3, total_steps=20, seconds=0)
    recipe = recipe_from({**SMALL, "optimizer": "muon", "muon.lr": 0.01})
    assert (told.recipe, told.digest) == (recipe.as_json(), recipe.digest)
    model = Run(recipe, 3, 20).model
    assert told.weights == sum(tensor.numel() for tensor in model.state_dict().values())
    assert told.weight_bytes == 4 * told.weights
    assert (told.bytes_per_second, told.steps_timed) == (None, 0)
    assert checkpoint == Run(recipe, 3, 20).checkpoint(environment())


def test_the_fresh_checkpoint_trains_like_a_run_from_its_beginning(texts):
    _, checkpoint = built(FIELDS, seed=3, total_steps=20, seconds=1e-9)
    text = torch.frombuffer(bytearray(texts.split("train")), dtype=torch.uint8)
    fresh, direct = resumed(*unpack(checkpoint)), Run(recipe_from(flattened(FIELDS)), 3, 20)
    assert fresh.step == 0
    assert [fresh.train(text) for _ in range(3)] == [direct.train(text) for _ in range(3)]


def test_speed_is_bytes_of_timed_steps_over_their_time():
    ticks = iter(range(100))
    told, _ = built(SMALL, seed=0, total_steps=1, seconds=4, clock=lambda: next(ticks))
    assert told.steps_timed == 3
    assert told.bytes_per_second == 3 * SMALL["batch"] * SMALL["context"] / 4


@given(st.dictionaries(st.sampled_from(["lr", "beta", "k"]), st.integers(), min_size=1))
def test_a_table_of_options_is_its_options_spelt_out(options):
    flat = {f"muon.{key}": value for key, value in options.items()}
    assert flattened({"width": 64, "muon": options}) == {"width": 64, **flat} == flattened({"width": 64, **flat})


def test_an_option_that_stands_there_twice_is_refused():
    with pytest.raises(InvalidValue, match=r"muon\.lr"):
        flattened({"muon.lr": 0.1, "muon": {"lr": 0.2}})


def test_a_wrong_recipe_is_refused_with_the_nearest_name():
    with pytest.raises(UnknownName, match=r"muon\.lr"):
        built({"muon": {"lrr": 1}}, seed=0, total_steps=1, seconds=0)
