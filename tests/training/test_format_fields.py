import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errors import ImpossibleCombination, InvalidValue, UnknownName
from kernels.formats import SWITCHES, formats
from training.format_fields import ACROSS, PLACES, WIDE, WIDE_KINDS, own_switches
from training.plan import label
from training.recipe import json_schema, recipe_from

DEFAULT = recipe_from({})
NARROW = [name for name, one in formats.items() if one.precision_class not in WIDE and name != "fp32"]


@pytest.mark.parametrize("place", PLACES)
def test_fp32_everywhere_is_the_recipe_that_it_was_before_there_were_formats(place):
    for spelt in ("fp32", "binary32", "float32"):
        assert recipe_from({place: spelt}).digest == DEFAULT.digest
    assert not any(key.startswith(f"{place}.") for key in DEFAULT.as_json())


@pytest.mark.parametrize("place", PLACES)
def test_an_alias_is_the_format_in_digest_name_and_recipe(place):
    for alias, name in formats.aliases.items():
        if formats[name].precision_class in WIDE or places_refuse(place, name):
            continue
        assert label(recipe_from({place: alias}), DEFAULT) == label(recipe_from({place: name}), DEFAULT)
        assert recipe_from({place: alias}).canonical == recipe_from({place: name}).canonical
    assert recipe_from({place: "half"}).as_json()[place] == "fp16"
    assert label(recipe_from({place: "half"}), DEFAULT) == f"{place}=fp16"


@pytest.mark.parametrize(
    "name",
    ["FP8_E4M3", "fp8", "ｆｐ８", "fp8_е4m3", " bf16", "bf16 ", "bf\u200b16", "gf256", "", "none", "FP32", "fp32\n"],
)
def test_other_spellings_are_refused_not_guessed(name):
    for place in PLACES:
        with pytest.raises(UnknownName, match="number format"):
            recipe_from({place: name})


def test_an_unknown_format_is_refused_with_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean 'fp8_e4m3'"):
        recipe_from({"weights": "fp8_e4m4"})
    with pytest.raises(InvalidValue, match="weights must be of type str"):
        recipe_from({"weights": 8})


def test_switches_left_to_the_format_or_spelt_out_are_one_recipe():
    for place in PLACES:
        for name in NARROW:
            if places_refuse(place, name):
                continue
            plain = recipe_from({place: name})
            assert recipe_from({place: name, **{f"{place}.{switch}": "format" for switch in SWITCHES}}) == plain
            spelt = {f"{place}.{switch}": value for switch, value in own_switches(place, formats[name]).items()}
            assert recipe_from({place: name, **spelt}).digest == plain.digest
            assert spelt.items() <= plain.as_json().items()


def places_refuse(place, name):
    """Whether a format cannot stand at a place at all; said by trying, so that the reason is looked at below."""
    try:
        recipe_from({place: name})
    except ImpossibleCombination:
        return True
    return False


def test_only_activations_refuse_a_format_of_these_classes_and_only_for_what_a_prediction_may_depend_on():
    for name in NARROW:
        assert not places_refuse("weights", name)
        assert not places_refuse("gradients", name)
        if places_refuse("activations", name):
            with pytest.raises(ImpossibleCombination, match=r"later bytes|on chance"):
                recipe_from({"activations": name})


@settings(deadline=None)
@given(st.sampled_from(NARROW), st.sampled_from(sorted(PLACES)), st.sampled_from(sorted(SWITCHES)), st.data())
def test_a_switch_that_a_format_does_not_admit_is_refused_by_name(name, place, switch, data):
    value = data.draw(st.sampled_from(SWITCHES[switch]))
    if value in formats[name].admits[switch]:
        return
    with pytest.raises(ImpossibleCombination, match=rf"{place} {name} does not take {place}\.{switch} '{value}'"):
        recipe_from({place: name, f"{place}.{switch}": value})


def test_formats_finer_than_float64_are_held_wide_and_where_they_cannot_be_refused_with_the_reason():
    for name, one in formats.items():
        if one.precision_class not in WIDE:
            continue
        for place in ("activations", "gradients"):
            with pytest.raises(ImpossibleCombination, match=f"{place} {name} is of class {one.precision_class}"):
                recipe_from({place: name})
        for storage in ("master", "stored"):
            with pytest.raises(ImpossibleCombination, match=f"weights {name} is of class {one.precision_class}"):
                recipe_from({"weights": name, "weights.storage": storage})
        if one.kind in WIDE_KINDS:
            assert recipe_from({"weights": name}).options["weights.storage"] == "wide"
        else:
            with pytest.raises(ImpossibleCombination, match=f"weights {name} are not held wide"):
                recipe_from({"weights": name})


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"weights": "bf16", "weights.storage": "wide"}, "fit in float32"),
        ({"weights": "decimal32", "weights.storage": "wide"}, "not held wide"),
        ({"weights": "posit64", "weights.scaling": "pow2"}, "not scaled"),
        ({"weights": "vax_g", "weights.storage": "wide", "weights.rounding": "rtz"}, "rounded to nearest"),
        ({"weights": "fp80", "cms": "nested"}, "cms nested"),
        ({"weights": "fp80", "optimizer": "adamw", "adamw.weight_decay": 0.1}, "adamw.weight_decay 0.1"),
        ({"weights": "fp80", "optimizer": "adafactor"}, r"weights\.storage wide"),
        ({"weights": "fp80", "optimizer": "adamw_phi"}, r"weights\.storage wide"),
        ({"weights": "fp80", "optimizer": "schedulefree"}, r"weights\.storage wide"),
    ],
    ids=str,
)
def test_what_does_not_go_with_wide_weights_is_refused_by_name(fields, match):
    with pytest.raises(ImpossibleCombination, match=match):
        recipe_from(fields)


def test_what_lets_a_prediction_see_later_bytes_or_chance_is_refused_for_activations():
    for scaling in ACROSS:
        with pytest.raises(ImpossibleCombination, match="later bytes"):
            recipe_from({"activations": "fp8_e4m3", "activations.scaling": scaling})
    for fields in ({"activations": "bf16", "activations.rounding": "sr"}, {"activations": "stochastic_rounding"}):
        with pytest.raises(ImpossibleCombination, match="on chance"):
            recipe_from(fields)


@pytest.mark.parametrize("place", PLACES)
def test_options_without_a_format_are_refused(place):
    with pytest.raises(ImpossibleCombination, match=f"this recipe has {place} fp32"):
        recipe_from({f"{place}.rounding": "rtz"})
    with pytest.raises(UnknownName):
        recipe_from({place: "bf16", f"{place}.storage" if place != "weights" else "weights.store": "stored"})


def test_what_learns_or_averages_weights_in_float32_is_refused_beside_formats_that_it_would_leave():
    for place in PLACES:
        with pytest.raises(ImpossibleCombination, match="ttt sgd"):
            recipe_from({place: "bf16", "ttt": "sgd"})
    assert recipe_from({"weights": "bf16", "optimizer": "schedulefree"}).options["weights.storage"] == "master"
    with pytest.raises(ImpossibleCombination, match=r"weights\.storage stored"):
        recipe_from({"weights": "bf16", "weights.storage": "stored", "optimizer": "schedulefree"})


def test_the_schema_lists_the_formats_and_their_switches():
    properties = json_schema()["properties"]
    for place in PLACES:
        assert set(properties[place]["enum"]) == set(formats)
        assert properties[place]["default"] == "fp32"
        assert properties[f"{place}.rounding"]["enum"] == ["format", *SWITCHES["rounding"]]
    assert properties["weights.storage"]["enum"] == ["master", "stored", "wide"]
