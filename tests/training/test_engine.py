import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from errors import ArtifactMissing, InvalidValue
from training.checkpoint import CheckpointCorrupt, pack, unpack
from training.engine import CheckpointMismatch, Chunk, EnvironmentChanged, Residents, run_chunk
from training.environment import environment
from training.optimizers import grouped, optimizers
from training.run import Run

TOTAL = 12

ROOT = Path(__file__).parents[2]


@pytest.fixture
def chunk(small, texts, store):
    """Train one chunk of a small run: chunk(steps=4, checkpoint=None, **other arguments of run_chunk)."""

    def run(steps=4, **arguments) -> Chunk:
        usual = {"recipe": small(), "seed": 7, "total_steps": TOTAL, "corpus": texts, "store": store}
        return run_chunk(steps=steps, **{**usual, **arguments})

    return run


def numbers(chunk):
    return (chunk.step, chunk.checkpoint, chunk.score)


@pytest.mark.parametrize("optimizer", optimizers)
@pytest.mark.parametrize(
    "shape", [{"composition": "attention", "rule": "none"}, {"composition": "mag", "rule": "delta"}]
)
def test_a_run_cut_anywhere_equals_the_uninterrupted_run_bit_for_bit(chunk, small, optimizer, shape):
    recipe = small(optimizer=optimizer, **shape)
    whole = chunk(TOTAL, recipe=recipe)
    first = chunk(5, recipe=recipe)
    second = chunk(1, recipe=recipe, checkpoint=first.checkpoint)
    third = chunk(6, recipe=recipe, checkpoint=second.checkpoint)
    assert [first.step, second.step, third.step] == [5, 6, 12]
    assert numbers(third) == numbers(whole)
    assert whole.divergence is None


def test_a_resident_goes_on_with_the_same_bits_as_a_reload(chunk):
    residents = Residents()
    first = chunk(residents=residents)
    resident = residents.runs[first.checkpoint][0]
    live = chunk(checkpoint=first.checkpoint, residents=residents)
    assert residents.runs[live.checkpoint][0] is resident
    reloaded = chunk(checkpoint=first.checkpoint, residents=residents)
    assert numbers(reloaded) == numbers(live)
    assert residents.runs[live.checkpoint][0] is not resident


def test_the_least_recently_used_residents_leave(chunk):
    residents = Residents(2)
    kept = [chunk(1, seed=seed, residents=residents).checkpoint for seed in range(4)]
    assert list(residents.runs) == kept[2:]


def test_another_process_gives_the_same_bits_and_never_loads_torch_s_compiler(chunk, store, texts, small, tmp_path):
    here = chunk()
    script = f"""
import sys
from pathlib import Path
from types import SimpleNamespace
from training.artifacts import ArtifactFolder
from training.engine import run_chunk
from training.recipe import recipe_from
texts = {texts.texts!r}
chunk = run_chunk(recipe=recipe_from({small().as_json()!r}), seed=7, total_steps={TOTAL}, steps=4,
                  corpus=SimpleNamespace(split=texts.get, lengths=lambda name: [len(texts[name])]),
                  store=ArtifactFolder(Path({str(tmp_path / "other")!r})))
print(chunk.checkpoint, chunk.score.nll_sum, "torch._dynamo" in sys.modules)
"""
    command = [sys.executable, "-W", "error", "-c", script]
    there = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert there.stdout.split() == [here.checkpoint, repr(here.score.nll_sum), "False"]


def test_training_lowers_the_score(chunk):
    assert chunk(TOTAL).score.bpb < chunk(1).score.bpb < 8.5


def test_seeds_give_different_runs(chunk):
    assert chunk(seed=1).score != chunk(seed=2).score


def test_the_effective_recipe_is_read_back_from_what_was_built(chunk, small):
    for optimizer in optimizers:
        recipe = small(optimizer=optimizer, decay=0.25, **{f"{optimizer}.lr": 0.0125})
        done = chunk(1, recipe=recipe)
        assert done.effective_recipe == recipe.as_json()
        assert done.effective_digest == recipe.digest


def test_the_echo_tells_when_something_else_was_built(small):
    run = Run(small(), 0, 1)
    run.optimizer = optimizers["adamw"](grouped(run.model), small(optimizer="adamw").option("adamw"))
    assert run.effective().digest == small(optimizer="adamw").digest != run.recipe.digest


def test_a_changed_environment_asks_for_a_new_attempt(chunk, store):
    meta, tensors = unpack(store.get(chunk().checkpoint))
    moved = {**meta.__dict__, "environment": {**meta.environment, "threads": 99}}
    with pytest.raises(EnvironmentChanged, match="threads"):
        chunk(checkpoint=store.put(pack(type(meta)(**moved), tensors)))


def test_a_resident_of_another_environment_is_not_used(chunk):
    residents = Residents()
    first = chunk(residents=residents)
    residents.runs[first.checkpoint] = (residents.runs[first.checkpoint][0], "other")
    assert residents.take(first.checkpoint, environment()) is None


@pytest.mark.parametrize("change", [{"seed": 8}, {"total_steps": 13}, {"recipe": {"mlp_ratio": 2}}])
@pytest.mark.parametrize("resident", [True, False])
def test_a_checkpoint_of_another_run_is_refused(chunk, small, change, resident):
    residents = Residents() if resident else None
    first = chunk(residents=residents)
    change = {key: small(**value) if key == "recipe" else value for key, value in change.items()}
    with pytest.raises(CheckpointMismatch):
        chunk(checkpoint=first.checkpoint, residents=residents, **change)


def test_a_file_that_is_no_checkpoint_is_refused(chunk, store):
    with pytest.raises(CheckpointCorrupt):
        chunk(checkpoint=store.put(b"not a checkpoint"))
    with pytest.raises(ArtifactMissing):
        chunk(checkpoint="0" * 64)


@pytest.mark.parametrize("steps", [0, -1, TOTAL + 1])
def test_steps_outside_the_budget_are_refused(chunk, steps):
    with pytest.raises(InvalidValue):
        chunk(steps)


def test_a_loss_that_is_not_finite_is_a_result(chunk, store):
    residents = Residents()
    first = chunk(residents=residents)
    with torch.no_grad():
        residents.runs[first.checkpoint][0].model.embedding.fill_(math.nan)
    done = chunk(checkpoint=first.checkpoint, residents=residents)
    assert "loss" in done.divergence
    assert done.step == done.start_step == first.step
    assert (done.checkpoint, done.score) == (None, None)
    assert not residents.runs


def test_weights_that_are_not_finite_are_a_result(chunk, texts, small):
    def spoil(step, bits):
        run.model.tables.data[-1] = math.inf

    residents = Residents()
    first = chunk(residents=residents)
    run = residents.runs[first.checkpoint][0]
    done = chunk(1, checkpoint=first.checkpoint, residents=residents, on_step=spoil)
    assert "weight" in done.divergence
    assert done.step == first.step + 1
    assert (done.checkpoint, done.score) == (None, None)


def test_predictions_that_overflow_are_a_result(chunk):
    def spoil(step, bits):
        run.model.blocks[0].up.weight.data.fill_(1e30)
        run.model.blocks[0].down.weight.data.fill_(1e30)

    residents = Residents()
    first = chunk(residents=residents)
    run = residents.runs[first.checkpoint][0]
    done = chunk(1, checkpoint=first.checkpoint, residents=residents, on_step=spoil)
    assert "prediction" in done.divergence
    assert (done.checkpoint, done.score) == (None, None)


def test_each_step_is_reported_and_what_the_listener_raises_ends_the_chunk(chunk):
    seen = []
    done = chunk(on_step=lambda step, bits: seen.append((step, bits)))
    assert [step for step, _ in seen] == [1, 2, 3, 4]
    assert done.train_bits == pytest.approx(sum(bits for _, bits in seen) / 4)

    def stop(step, bits):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        chunk(on_step=stop)


def test_the_recipe_is_checked_without_torch():
    code = "import sys, training.recipe as r; r.recipe_from({}); r.json_schema(); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_a_run_that_is_not_where_its_caller_says_is_refused(chunk):
    first = chunk(start_step=0)
    assert chunk(1, checkpoint=first.checkpoint, start_step=first.step).start_step == first.step
    with pytest.raises(CheckpointMismatch, match="at step 4, not at 10"):
        chunk(1, checkpoint=first.checkpoint, start_step=10)
