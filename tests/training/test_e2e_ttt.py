import math
from dataclasses import replace

import pytest

from errors import ImpossibleCombination, InvalidValue
from training.e2e_ttt import SEEDS, SeedScore, Threshold, VictoryReport, run_e2e_ttt


def report(*values, thresholds=None):
    seeds = tuple(
        SeedScore(seed=seed, steps=10, train_bits=2.0, plain=value + 0.1, still=value + 0.1, bpb=value)
        for seed, value in enumerate(values)
    )
    made = VictoryReport(recipe="a" * 64, corpus="b" * 64, split="validation", byte_count=100, seeds=seeds)
    return replace(made, thresholds=thresholds) if thresholds else made


class Moved:
    """Train on one kind of text, validate on another that repeats itself."""

    digest = "0" * 64

    def __init__(self, texts):
        self.texts = {"train": texts.split("train"), "validation": b"the cat sat on the mat, said the rat; " * 60}

    def split(self, name):
        return self.texts[name]

    def lengths(self, name):
        return (len(self.texts[name]),)


def test_one_seed_end_to_end(small, texts):
    recipe = small(ttt="e2e", batch=9, **{"ttt.stride": 64, "e2e.outer_fraction": 0.1})
    told = []
    done = run_e2e_ttt(Moved(texts), recipe, budget_bytes=200 * recipe.step_bytes, seeds=SEEDS[:1], on_seed=told.append)
    (one,) = done.seeds
    assert told == [one]
    assert (one.seed, one.steps, done.recipe) == (1597, 200, recipe.digest)
    assert one.bpb < one.plain
    assert one.train_bits < 4
    assert one.still == pytest.approx(one.plain, abs=0.05)
    assert done.mean == one.bpb
    assert math.isnan(done.sd)
    assert done.text.count("not met") == sum(not met for met in done.met.values())


def test_with_no_inner_step_the_score_is_the_plain_one(small, texts):
    recipe = small(ttt="e2e", **{"ttt.inner_steps": 0})
    (one,) = run_e2e_ttt(texts, recipe, budget_bytes=3000, seeds=[4181]).seeds
    assert one.bpb == one.plain
    assert one.gain == 0


def test_thresholds_are_strict_and_met_by_each_seed_or_by_the_mean():
    assert report(1.07, 1.07, 1.07).met == {"G1": True, "G2": True, "G3": True, "WIN": True}
    assert report(1.07063, 1.07063).met["WIN"] is False
    mixed = report(1.4, 1.5).met
    assert (mixed["G2"], mixed["G3"]) == (True, False)
    assert report(0.5, 1.6).met == {"G1": True, "G2": True, "G3": False, "WIN": True}


@pytest.mark.parametrize("value", [0.05, 0.0, math.nan, math.inf])
def test_nothing_is_met_by_values_that_are_unsound(value):
    assert not any(report(1.0, value).met.values())


def test_the_report_names_its_numbers():
    made = report(1.2, 1.4, thresholds=(Threshold(name="OWN", bound=1.35, by="mean"),))
    assert (made.mean, made.gain) == (pytest.approx(1.3), pytest.approx(0.1))
    assert made.sd == pytest.approx(math.sqrt(0.02))
    assert "OWN: mean < 1.35: met" in made.text
    assert "ttt 1.4000  gain +0.1000" in made.text


def test_a_recipe_without_test_time_training_and_repeated_seeds_are_refused(small, texts):
    with pytest.raises(ImpossibleCombination):
        run_e2e_ttt(texts, small(), budget_bytes=1000)
    for seeds in ([], [1, 1]):
        with pytest.raises(InvalidValue):
            run_e2e_ttt(texts, small(ttt="e2e"), budget_bytes=1000, seeds=seeds)
