"""`igla plan matrix` and `igla matrix` as people type them."""

import json

import pytest
from typer.testing import CliRunner

from db import races
from db.races import RaceExists, RaceSpec
from errors import ImpossibleCombination, InvalidValue, UnknownName
from server.cli import app
from server.race import plan_json
from tests.remote import RECIPE, Hand, small_race
from training.matrix_plan import MatrixPlan
from training.plan import Plan


@pytest.fixture
def igla(runtime):
    def run(*words):
        done = CliRunner().invoke(app, [*words, "--data", str(runtime.settings.data)])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done.output

    return run


def planned(igla, *words):
    return json.loads(igla("plan", "matrix", *words, "--dry-run", "--json"))


def test_a_dry_run_tells_every_format_with_every_optimizer_and_both_scalings_of_narrow_ones(igla):
    told = planned(igla, "--formats", "half,fp8_e4m3", "--optimizers", "adamw,muon", "--budget", "102400B")
    assert (told["recipes"], told["seeds"], told["dry_run"]) == (8, [1597, 2584, 4181], True)
    assert {job["total_steps"] for job in told["jobs"]} == {100}
    assert [job["name"] for job in told["jobs"][::3]] == [
        "adamw", "default", "adamw weights=fp16", "weights=fp16",
        "adamw weights=fp8_e4m3", "weights=fp8_e4m3",
        "adamw weights=fp8_e4m3 weights.scaling=pow2", "weights=fp8_e4m3 weights.scaling=pow2",
    ]  # fmt: skip
    text = igla("plan", "matrix", "--formats", "tour", "--place", "gradients", "--seeds", "1,2", "--dry-run")
    assert "x 2 seeds would be queued in race formats" in text


@pytest.mark.parametrize(
    ("words", "refusal", "match"),
    [
        (["--formats", "fp8_e4m4"], UnknownName, "Did you mean 'fp8_e4m3'"),
        (["--formats", "bf16", "--optimizers", "adam"], UnknownName, "Did you mean"),
        (["--formats", "decimal128"], ImpossibleCombination, "weights decimal128 are not held wide"),
        (["--formats", "bf16", "--budget", "3m"], InvalidValue, "not known who"),
        (["--formats", "bf16", "--base", "[]"], InvalidValue, "JSON object"),
        (["--formats", ","], InvalidValue, "at least one format"),
        (["--formats", "bf16", "--place", "vectors"], InvalidValue, "weights, activations, gradients"),
    ],
)
def test_what_cannot_be_run_is_refused_before_anything_is_queued(igla, words, refusal, match):
    with pytest.raises(refusal, match=match):
        planned(igla, *words)


def test_a_race_that_promotes_does_not_take_a_plan_for_the_whole_budget(igla, runtime):
    small_race(runtime, chunks=3)
    planned(igla, "--formats", "bf16", "--race", "cup")
    with runtime.store.transaction() as session:
        spec = RaceSpec(name="ladder", corpus="c" * 64, corpus_name="n", budget_bytes=9000, seeds=(1,))
        races.create(session, spec, runtime.context().now)
    with pytest.raises(RaceExists, match="3 rungs"):
        planned(igla, "--formats", "bf16", "--race", "ladder")


def test_a_matrix_is_shown_with_numbers_words_and_holes(igla, runtime):
    small_race(
        runtime, recipes=[RECIPE, {**RECIPE, "weights": "bf16"}, {**RECIPE, "weights": "gf8", "optimizer": "adamw"}]
    )
    hand = Hand(runtime=runtime)
    while hand.step < hand.ticket["total_steps"]:
        hand.report(hand.train())
    text = igla("matrix", "cup")
    for shown in ("fp32", "bf16", "gf8", "0.132", "muon", "adamw", "open", "-"):
        assert shown in text
    table = json.loads(igla("matrix", "cup", "--json"))
    assert table["columns"] == ["muon", "adamw"]
    assert [row["label"] for row in table["rows"]] == ["fp32", "bf16", "gf8"]


def test_a_plan_comes_through_the_tools_as_it_was():
    plan = Plan(matrix=MatrixPlan(formats=["bf16"], optimizers=["sgd"], place="gradients"), whole=True, seeds=[3])
    told = plan_json(plan)
    assert told["matrix"] == {"formats": ["bf16"], "optimizers": ["sgd"], "place": "gradients"}
    assert (told["whole"], told["seeds"]) == (True, [3])
