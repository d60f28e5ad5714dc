import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import ImpossibleCombination, InvalidValue, UnknownName
from training.recipe import CHOICES, core_fields, field_names, json_schema, recipe_from

DEFAULT = recipe_from({})


def numbers(spec):
    if isinstance(spec["default"], int):
        return st.integers(spec["min"], spec["max"])
    return st.floats(spec["min"], spec["max"])


free = {
    name: numbers(spec)
    for name, spec in core_fields().items()
    if name not in CHOICES
    and name not in ("width", "heads", "warmup", "decay", "loop_first", "loop_last", "loop_start")
    and not isinstance(spec["default"], str)
}
recipes = st.fixed_dictionaries({}, optional=free)


def test_the_empty_recipe_is_the_default_and_spelt_out_it_is_the_same():
    assert recipe_from(DEFAULT.as_json()) == DEFAULT
    assert recipe_from(DEFAULT.as_json()).digest == DEFAULT.digest


@given(recipes)
def test_one_recipe_has_one_digest_however_it_is_spelt(fields):
    recipe = recipe_from(fields)
    again = recipe_from(dict(reversed(recipe.as_json().items())))
    assert again.digest == recipe.digest
    assert recipe_from(json.loads(recipe.canonical)) == recipe


def test_recipes_keep_their_digests_while_the_language_of_recipes_grows():
    """Whoever makes one of these fail gives every stored recipe a new name: mark a new field or option as `later`."""
    assert DEFAULT.digest == "b7b27264ac643d18dd7ce438f483d7675cbcb468b2a1014111d0b49dcbc1859a"
    other = recipe_from({"composition": "attention", "rule": "none", "optimizer": "adamw", "width": 96})
    assert other.digest == "3facd13da95c0e707149c5a885bc7c36aec54c687a467348e0417c9fed04992a"


@given(recipes, recipes)
def test_different_recipes_have_different_digests(one, other):
    first, second = recipe_from(one), recipe_from(other)
    assert (first.digest == second.digest) == (first.as_json() == second.as_json())


@pytest.mark.parametrize("name", ["optimizer", "rule", "composition"])
def test_an_unknown_plug_in_is_refused_with_the_nearest(name):
    wrong = next(iter(CHOICES[name])) + "w"
    with pytest.raises(UnknownName, match=f"Did you mean '{wrong[:-1]}'"):
        recipe_from({name: wrong})


def test_an_unknown_field_is_refused_with_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean 'width'"):
        recipe_from({"widht": 128})
    with pytest.raises(UnknownName, match="recipe field"):
        recipe_from({"adamw.lrr": 0.1})


@pytest.mark.parametrize("value", [0, -1, 10**9, "128", 128.0, None, True, [128]])
def test_a_value_of_the_wrong_type_or_range_is_refused(value):
    with pytest.raises(InvalidValue, match="width must"):
        recipe_from({"width": value})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.1])
def test_numbers_that_are_no_numbers_are_refused(value):
    with pytest.raises(InvalidValue, match="warmup must"):
        recipe_from({"warmup": value})


def test_an_option_of_a_plug_in_that_was_not_chosen_is_refused():
    other = next(name for name in CHOICES["optimizer"] if name != DEFAULT.optimizer)
    key = next(key for key in field_names() if key.startswith(other + "."))
    with pytest.raises(ImpossibleCombination, match="is an option of the optimizer"):
        recipe_from({key: 0.01})


@pytest.mark.parametrize(
    "fields",
    [
        {"composition": "attention", "rule": "delta"},
        {"composition": "mag", "rule": "none"},
        {"width": 100, "heads": 8},
        {"warmup": 0.7, "decay": 0.7},
    ],
)
def test_an_impossible_combination_is_refused(fields):
    with pytest.raises(ImpossibleCombination):
        recipe_from(fields)


def test_an_integer_may_stand_for_a_float_and_is_the_same_recipe():
    assert recipe_from({"softcap": 20}).digest == recipe_from({"softcap": 20.0}).digest


def test_steps_are_whole_and_at_least_one():
    assert DEFAULT.steps(10 * DEFAULT.step_bytes + 1) == 10
    assert DEFAULT.steps(1) == 1


def test_the_schema_lists_every_field_and_is_closed():
    schema = json_schema()
    assert list(schema["properties"]) == field_names()
    assert schema["additionalProperties"] is False
    assert set(schema["properties"]["optimizer"]["enum"]) == set(CHOICES["optimizer"])


def test_options_that_a_kind_s_plug_ins_share_are_spelt_by_the_kind_and_a_mode_may_have_its_own_default():
    assert recipe_from({"ttt": "sgd", "ttt.inner_steps": 3}).option("ttt")["inner_steps"] == 3
    assert recipe_from({"ttt": "sgd"}).option("ttt")["inner_lr"] == 0.1
    assert recipe_from({"ttt": "lora"}).option("ttt")["inner_lr"] == 0.01
    assert recipe_from({"ttt": "lora", "ttt.inner_lr": 0.1}).digest != recipe_from({"ttt": "lora"}).digest


@pytest.mark.parametrize("steps", [-1, 17, 1.0])
def test_inner_steps_lie_between_none_and_sixteen(steps):
    with pytest.raises(InvalidValue, match=r"ttt\.inner_steps must"):
        recipe_from({"ttt": "sgd", "ttt.inner_steps": steps})


def test_without_test_time_training_its_options_are_refused_and_absent():
    assert not any(key.startswith("ttt.") for key in DEFAULT.as_json())
    with pytest.raises(ImpossibleCombination, match="every ttt; this recipe has ttt none"):
        recipe_from({"ttt.inner_steps": 1})
    with pytest.raises(ImpossibleCombination, match="option of the ttt lora; this recipe has ttt sgd"):
        recipe_from({"ttt": "sgd", "lora.rank": 2})


def test_two_plug_ins_of_one_name_have_each_their_own_options():
    recipe = recipe_from({"optimizer": "sgd", "ttt": "sgd", "sgd.lr": 0.2, "sgd.inner_weights": "mlp"})
    assert recipe.option("sgd", "optimizer") == {k: v for k, v in recipe.option("sgd").items() if "inner" not in k}
    assert recipe.option("sgd", "ttt").keys() == CHOICES["ttt"].about("sgd")["fields"].keys()
    assert not set(CHOICES["ttt"].about("sgd")["fields"]) & set(CHOICES["optimizer"].about("sgd")["fields"])
