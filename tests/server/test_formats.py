"""Number formats from a recipe in the queue to the board: trained by the engine, or elsewhere and scored here."""

import json
from dataclasses import replace

import pytest

from db import chunks
from server.engine import Engine
from server.scorer import Scorer
from tests.remote import RECIPE, Hand, small_race, use
from training.checkpoint import pack, unpack
from training.engine import Residents
from training.recipe import recipe_from


@pytest.fixture
def engine(runtime):
    return Engine(name="engine-0", runtime=runtime, residents=Residents())


def play(runtime, engine):
    """Claim a job and let the engine train it to its end; gives what every chunk answered, and the job's status."""
    ticket, answers = use(runtime, "claim_job", worker="w", race="cup")["tickets"][0], []
    while not answers or answers[-1]["decision"]["action"] == "continue":
        with runtime.store.transaction() as session:
            asked = chunks.request(session, ticket["job_id"], ticket["fence"], None, runtime.context().now, 60.0)
            engine_request = chunks.lease(session, engine.name, runtime.context().now, 60.0)
        assert engine_request.id == asked.id
        engine.work(engine_request)
        with runtime.store.reading() as session:
            answers.append(chunks.get(session, asked.id).result)
    return answers, use(runtime, "job_status", job_id=ticket["job_id"])


def test_what_a_format_changed_is_on_the_samples_the_board_and_the_matrix_and_one_that_changes_nothing_fails(
    runtime, engine
):
    formats = {"activations": "fp8_e4m3", "gradients": "bf16"}
    small_race(runtime, chunks=2, recipes=[
        RECIPE, {**RECIPE, "weights": "half", **formats}, {**RECIPE, "weights": "double"},
        {**RECIPE, "gradients": "fp64"},
    ])  # fmt: skip
    plain, rounded, *nothing = (play(runtime, engine) for _ in range(4))
    assert [one["quantized"] for one in plain[1]["curve"]] == [None, None]
    told = [one["quantized"] for one in rounded[1]["curve"]]
    assert [answer["samples"][0]["quantized"] for answer in rounded[0]] == told
    assert {place: one["format"] for place, one in told[-1].items()} == {"weights": "fp16", **formats}
    assert all(one["share"] > 0.9 for sample in told for one in sample.values())
    assert rounded[0][0]["effective_recipe"]["weights"] == "fp16"
    for answers, status in nothing:
        assert [answer["decision"]["action"] for answer in answers] == ["error"]
        assert (status["job"]["state"], status["curve"]) == ("errored", [])
        assert status["job"]["reason"].startswith("format_is_identity: ")
    board = use(runtime, "leaderboard", race="cup", by="format,optimizer")
    assert {row["recipe"]: row["quantized"] for row in board["rows"]} == {
        plain[0][0]["effective_digest"]: None, rounded[0][0]["effective_digest"]: told[-1],
    }  # fmt: skip
    states = {row["label"]: [cell["state"] for cell in row["cells"]] for row in board["matrix"]["rows"]}
    mixed = "fp16 activations=fp8_e4m3 gradients=bf16"
    assert states == {"fp32": ["identity"], mixed: ["measured"], "fp64": ["identity"], "gradients=fp64": ["identity"]}
    assert use(runtime, "leaderboard", race="cup")["matrix"] is None


def test_the_scorer_measures_anew_what_rounding_does_whatever_was_claimed_of_it(runtime):
    small_race(runtime, recipes=[{**RECIPE, "weights": "fp8_e4m3"}])
    hand = Hand(runtime=runtime)
    chunk = hand.train()
    value = {"step": chunk.step, "bpb": chunk.score.bpb, "nll_sum": chunk.score.nll_sum, "byte_count": 4096}
    lie = {"weights": {"format": "fp4_e2m1", "share": 0.5}}
    hand.report(chunk, samples=[{**value, "byte_count": chunk.score.byte_count, "quantized": lie}])
    assert hand.status["curve"][0]["quantized"] == lie
    assert Scorer(name="s", runtime=runtime).work_once()
    (sample,) = hand.status["curve"]
    assert sample["provenance"] == "measured"
    assert sample["quantized"]["weights"]["format"] == "fp8_e4m3"
    assert sample["quantized"]["weights"]["share"] > 0.9


@pytest.mark.parametrize("label", [
    {"weights": "fp8_e4m3", "weights.storage": "stored"}, {"weights": "fp64"},
    {"weights": "fp64", "weights.storage": "stored"},
], ids=json.dumps)  # fmt: skip
def test_weights_trained_in_float32_under_the_label_of_a_format_are_refused(runtime, label):
    recipe = recipe_from({**RECIPE, **label})
    small_race(runtime, recipes=[recipe.as_json()])
    hand = Hand(runtime=runtime)
    hand.ticket = {**hand.ticket, "recipe": RECIPE}
    chunk = hand.train()
    meta, tensors = unpack(runtime.artifacts.get(chunk.checkpoint))
    forged = runtime.artifacts.put(pack(replace(meta, recipe=recipe.as_json()), tensors))
    hand.report(chunk, checkpoint=forged, effective_digest=recipe.digest)
    assert Scorer(name="s", runtime=runtime).work_once()
    assert hand.curve == []
    (decision,) = hand.status["decisions"]
    stored = "weights.storage" in label and label["weights"] != "fp64"
    assert (decision["action"], decision["reason"]) == (
        "reject", "weights_not_in_format" if stored else "format_is_identity",
    )  # fmt: skip


@pytest.mark.parametrize("quantized", [
    {"memory": {"a" * 10: 1.0}, "b": {}, "c": {}, "d": {}}, {"weights": {str(i): 1.0 for i in range(9)}},
    {"weights": {"share": -1.0}}, {"weights": {"format": "x" * 41}}, {"weights": {"share": float("1e400")}}, [],
], ids=str)  # fmt: skip
def test_figures_from_outside_have_bounds(runtime, quantized):
    small_race(runtime)
    hand = Hand(runtime=runtime)
    chunk = hand.train()
    value = {"step": chunk.step, "bpb": chunk.score.bpb, "nll_sum": chunk.score.nll_sum}
    with pytest.raises(Exception, match="quantized"):
        hand.report(chunk, samples=[{**value, "byte_count": chunk.score.byte_count, "quantized": quantized}])
    assert hand.curve == []
