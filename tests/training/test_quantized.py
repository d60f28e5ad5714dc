import math
from dataclasses import replace

import pytest
import torch

from errors import ImpossibleCombination
from kernels.formats import formats
from kernels.quantize import quantize
from training.applied import Applied, applied_of
from training.audit import WeightsNotInFormat
from training.checkpoint import Meta, pack, unpack
from training.engine import run_chunk
from training.environment import environment
from training.format_fields import PLACES, FormatIsIdentity
from training.optimizers import grouped
from training.rescore import rescore
from training.run import Run, resumed
from training.serving import served
from training.windows import as_tensor

TOTAL = 6


@pytest.fixture
def text(texts):
    return as_tensor(texts.split("train"))


@pytest.fixture
def chunk(texts, store):
    def train(recipe, steps=TOTAL, checkpoint=None):
        return run_chunk(
            recipe=recipe, seed=3, total_steps=TOTAL, steps=steps, corpus=texts, store=store, checkpoint=checkpoint
        )

    return train


def again(texts, recipe, data, step=TOTAL):
    return rescore(
        data, texts.split("validation"), documents=texts.lengths("validation"),
        recipe_digest=recipe.digest, seed=3, total_steps=TOTAL, step=step,
    )  # fmt: skip


def rounded_names(model):
    groups = grouped(model)
    return [*groups.matrices, *groups.embeddings, *groups.tables]


MANY = [
    {"weights": "bf16"},
    {"weights": "fp8_e4m3", "weights.scaling": "pow2", "weights.rounding": "sr"},
    {"weights": "fp8_e4m3", "weights.storage": "stored", "weights.rounding": "sr", "gradients": "bf16",
     "gradients.rounding": "sr"},
    {"weights": "fp6_e3m2", "weights.storage": "stored", "weights.scaling": "amax", "cms": "nested"},
    {"weights": "fp4_e2m1", "weights.scaling": "row", "activations": "fp8_e5m2", "gradients": "fp8_e5m2",
     "gradients.scaling": "pow2", "composition": "mac", "optimizer": "adamw"},
    {"weights": "fp16", "activations": "bf16", "optimizer": "schedulefree", "adapter": "phi_nta"},
]  # fmt: skip


@pytest.mark.parametrize("fields", MANY, ids=str)
def test_a_run_in_formats_is_resumed_rescored_and_served_to_the_bit_and_echoes_them(fields, small, texts, chunk, store):
    recipe = small(**fields)
    whole = chunk(recipe)
    first = chunk(recipe, 4)
    assert chunk(recipe, 2, first.checkpoint).checkpoint == whole.checkpoint
    assert whole.failure is None
    assert (whole.effective_recipe, whole.effective_digest) == (recipe.as_json(), recipe.digest)
    assert set(whole.quantized) == {place for place in PLACES if place in fields}
    assert all(one["format"] == fields[place] and one["share"] > 0 for place, one in whole.quantized.items())
    found = again(texts, recipe, store.get(whole.checkpoint))
    assert found.score == whole.score
    assert set(found.quantized) == {place for place in whole.quantized if place != "gradients"}
    held = served(store.get(whole.checkpoint)).model
    run = resumed(*unpack(store.get(whole.checkpoint)))
    with run.evaluation_weights():
        ids = torch.arange(60)[None]
        assert torch.equal(held(ids)[0], run.model(ids)[0])


@pytest.mark.parametrize("fields", MANY, ids=str)
def test_neither_measuring_in_between_nor_rounding_whole_tables_changes_a_bit(fields, small, text, texts, monkeypatch):
    recipe, held_out = small(**fields), texts.split("validation")
    plain, measured = Run(recipe, 0, TOTAL), Run(recipe, 0, TOTAL)
    for _ in range(3):
        plain.train(text)
        measured.train(text)
        measured.measure(held_out, [len(held_out)])
    assert measured.checkpoint(environment()) == plain.checkpoint(environment())
    if fields.get("weights.storage") == "stored" and fields.get("weights.rounding") == "sr":
        return
    monkeypatch.setattr(Applied, "by_rows", False)
    whole = Run(recipe, 0, TOTAL)
    for _ in range(3):
        whole.train(text)
    assert whole.checkpoint(environment()) == plain.checkpoint(environment())


def test_without_a_format_nothing_is_told_and_the_weights_are_the_model_s_own(small, chunk):
    assert chunk(small()).quantized == {}


def test_masters_stay_as_they_are_and_predictions_are_those_of_the_rounded_weights(small, text):
    recipe = small(weights="fp8_e4m3", **{"weights.scaling": "pow2"})
    run, plain = Run(recipe, 0, TOTAL), Run(small(), 0, TOTAL)
    for _ in range(2):
        run.train(text)
    with torch.no_grad():
        for name, weight in plain.model.named_parameters():
            own = dict(run.model.named_parameters())[name]
            rounds = name in rounded_names(run.model)
            weight.copy_(quantize(own.data, "fp8_e4m3", scaling="pow2") if rounds else own)
            assert not rounds or not torch.equal(weight, own) or not weight.any()
    ids, before = torch.arange(40)[None], {name: tensor.clone() for name, tensor in run.tensors().items()}
    with run.evaluation_weights():
        assert torch.equal(run.predict(ids), plain.predict(ids))
    assert all(torch.equal(tensor, before[name]) for name, tensor in run.tensors().items())


def test_the_gradient_is_taken_at_the_rounded_weights_and_moves_the_masters(small, text):
    recipe = small(weights="fp6_e3m2", optimizer="sgd", **{"weights.scaling": "pow2", "sgd.momentum": 0.0})
    run, plain = Run(recipe, 0, TOTAL), Run(small(optimizer="sgd"), 0, TOTAL)
    before = {name: weight.detach().clone() for name, weight in run.model.named_parameters()}
    with torch.no_grad():
        for name in rounded_names(plain.model):
            weight = dict(plain.model.named_parameters())[name]
            weight.copy_(quantize(weight, "fp6_e3m2", scaling="pow2"))
    plain.differentiate(text, None, 0.5 / TOTAL)
    run.train(text)
    for name, weight in plain.model.named_parameters():
        moved = dict(run.model.named_parameters())[name]
        assert torch.equal(moved.grad.to_dense(), weight.grad.to_dense()), name
        assert torch.equal(moved, before[name]) == (not weight.grad.to_dense().any()), name


def test_stored_weights_are_values_of_the_format_after_every_step_and_what_no_format_has_is_not_touched(small, text):
    run = Run(small(weights="fp8_e5m2", **{"weights.storage": "stored"}), 0, TOTAL)
    for _ in range(3):
        for name, weight in run.model.named_parameters():
            same = torch.equal(quantize(weight.data, "fp8_e5m2"), weight.data)
            assert same or name not in rounded_names(run.model), name
        run.train(text)
    gains = [weight for name, weight in run.model.named_parameters() if name.endswith("gain")]
    assert not any(torch.equal(quantize(gain.data, "fp8_e5m2"), gain.data) for gain in gains)


def test_an_update_under_half_a_quantum_vanishes_in_stored_weights_but_for_chance(small, text):
    def moved(**options):
        options = {"weights.storage": "stored", "optimizer": "adamw", "adamw.lr": 1e-4, **options}
        run = Run(small(weights="bf16", warmup=0.0, **options), 0, TOTAL)
        start = run.model.blocks[0].mix.attention.qkv.weight.detach().clone()
        for _ in range(3):
            run.train(text)
        return (run.model.blocks[0].mix.attention.qkv.weight != start).float().mean().item()

    nearest, by_chance, master = moved(), moved(**{"weights.rounding": "sr"}), moved(**{"weights.storage": "master"})
    assert nearest < 0.7 * by_chance
    assert master > 0.99


def test_gradients_reach_the_optimizer_as_values_of_their_format(small, text, monkeypatch):
    run = Run(small(gradients="fp8_e5m2", **{"gradients.scaling": "none"}), 0, TOTAL)
    plain, given = Run(small(), 0, TOTAL), {}

    def step(multiplier):
        given.update({name: weight.grad for name, weight in run.model.named_parameters()})

    monkeypatch.setattr(run.optimizer, "step", step)
    run.train(text)
    plain.differentiate(text, None, 0.5 / TOTAL)
    for name, weight in plain.model.named_parameters():
        rounds = name in rounded_names(plain.model)
        exact = weight.grad.to_dense()
        assert torch.equal(given[name].to_dense(), quantize(exact, "fp8_e5m2") if rounds else exact), name


def test_every_linear_map_and_the_head_read_values_of_the_format(small):
    run, seen = Run(small(activations="fp8_e4m3", blocks=2), 0, TOTAL), []
    linear = [module for module in run.model.modules() if isinstance(module, torch.nn.Linear)]
    for module in linear:
        module.register_forward_hook(lambda _, inputs, output: seen.append(inputs[0]))
    run.predict(torch.arange(30)[None])
    assert len(seen) == len(linear)
    assert all(torch.equal(quantize(x, "fp8_e4m3"), x) for x in seen)
    x = torch.randn(1, 5, 16, generator=torch.Generator().manual_seed(0))
    normed = torch.nn.functional.rms_norm(x, (16,))
    head = Run(small(blocks=2), 0, TOTAL).model
    head.reading = lambda x: quantize(normed, "fp8_e4m3")
    assert torch.equal(run.model.logits(x), head.logits(x))


def test_the_past_does_not_see_the_future_through_activations(small):
    ids = torch.randint(256, (1, 24), generator=torch.Generator().manual_seed(0))
    run, other, seen = Run(small(activations="bf16"), 0, TOTAL), ids.clone(), 0
    other[:, 12:] = 255 - other[:, 12:]
    for name, one in formats.items():
        for scaling in one.admits["scaling"] if name != "fp32" else ():
            try:
                recipe = small(activations=name, **{"activations.scaling": scaling})
            except ImpossibleCombination:
                continue
            run.quantized.activations, seen = applied_of(recipe, "activations", 0), seen + 1
            assert torch.equal(run.predict(ids)[:, :12], run.predict(other)[:, :12]), (name, scaling)
    assert seen > 100


@pytest.mark.parametrize("place", PLACES)
def test_a_format_that_changes_nothing_fails_the_run_whatever_it_is_called(place, small, chunk):
    for name in ("fp64", "double"):
        done = chunk(small(**{place: name}), 2)
        assert done.failure.startswith(f"format_is_identity: {place} fp64 changed none of ")
        assert (done.checkpoint, done.score) == (None, None)
    stored = chunk(small(weights="fp64", **{"weights.storage": "stored"}), 2)
    assert stored.failure.startswith("format_is_identity")


def test_a_format_under_which_all_vanishes_is_a_measurement_not_an_identity(small, chunk):
    done = chunk(small(weights="fp4_e2m1", gradients="bf16"), 2)
    assert done.failure is None
    assert done.quantized["weights"]["zero"] > 0.8
    assert done.score.bpb > 7


def test_a_checkpoint_that_was_trained_in_another_format_than_it_says_is_found_out(small, chunk, store, texts):
    honest, label = small(), small(weights="fp8_e4m3", **{"weights.storage": "stored"})
    meta, tensors = unpack(store.get(chunk(honest).checkpoint))
    with pytest.raises(WeightsNotInFormat, match="fp8_e4m3 does not have"):
        again(texts, label, pack(relabelled(meta, label), tensors))
    for storage in ("stored", "master"):
        identity = small(weights="fp64", **{"weights.storage": storage})
        with pytest.raises(FormatIsIdentity):
            again(texts, identity, pack(relabelled(meta, identity), tensors))
    masters = small(weights="fp8_e4m3")
    found = again(texts, masters, pack(relabelled(meta, masters), tensors))
    assert found.quantized["weights"]["share"] > 0.99
    assert found.score != again(texts, honest, pack(meta, tensors)).score


def relabelled(meta: Meta, recipe):
    return replace(meta, recipe=recipe.as_json())


def test_counting_changes_no_bit(small, text):
    recipe = small(weights="fp8_e4m3", activations="bf16", gradients="fp8_e5m2", **{"weights.storage": "stored"})
    counted, plain, figures = Run(recipe, 0, TOTAL), Run(recipe, 0, TOTAL), {}
    with counted.quantized.watched(figures):
        assert counted.train(text) == plain.train(text)
    assert counted.checkpoint(environment()) == plain.checkpoint(environment())
    assert set(figures) == set(PLACES)
    assert counted.quantized.found == {}


def test_what_is_told_is_what_happened(small, text):
    run, figures = Run(small(weights="fp6_e2m3"), 0, TOTAL), {}
    values = torch.cat([dict(run.model.named_parameters())[name].data.flatten() for name in rounded_names(run.model)])
    rounded = quantize(values, "fp6_e2m3")
    with run.quantized.watched(figures):
        run.train(text)
    count = values.count_nonzero().item()
    assert figures["weights"]["values"] == count
    assert figures["weights"]["share"] == (rounded != values).sum().item() / count
    assert figures["weights"]["zero"] == ((rounded == 0) & (values != 0)).sum().item() / count
    assert math.isclose(figures["weights"]["saturated"], (values.abs() > 7.5).sum().item() / count)
