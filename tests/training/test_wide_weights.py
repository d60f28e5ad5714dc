from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from torch import nn

from kernels.formats import Switches, format_named
from kernels.kinds import kind_of
from tests.kernels.test_expansions import values
from training.applied import Applied
from training.audit import WeightsNotInFormat
from training.checkpoint import pack, unpack
from training.engine import run_chunk
from training.format_fields import FormatIsIdentity
from training.optimizers import grouped
from training.recipe import recipe_from
from training.rescore import rescore
from training.run import Run
from training.wide_weights import WideWeights
from training.windows import as_tensor

TOTAL = 5


@pytest.fixture
def chunk(texts, store):
    def train(recipe, steps=TOTAL, checkpoint=None):
        return run_chunk(
            recipe=recipe, seed=3, total_steps=TOTAL, steps=steps, corpus=texts, store=store, checkpoint=checkpoint
        )

    return train


def again(texts, recipe, data):
    return rescore(
        data, texts.split("validation"), documents=texts.lengths("validation"),
        recipe_digest=recipe.digest, seed=3, total_steps=TOTAL, step=TOTAL,
    )  # fmt: skip


@pytest.mark.parametrize("fields", [
    {"weights": "fp64", "weights.storage": "wide", "optimizer": "adamw"}, {"weights": "fp80", "gradients": "bf16"},
    {"weights": "binary128", "optimizer": "soap", "activations": "fp16"}, {"weights": "posit64", "optimizer": "sgd"},
], ids=str)  # fmt: skip
def test_a_wide_run_is_resumed_and_rescored_to_the_bit_and_is_not_that_of_float32(fields, small, texts, chunk, store):
    recipe = small(**fields)
    whole, first = chunk(recipe), chunk(recipe, 2)
    assert chunk(recipe, 3, first.checkpoint).checkpoint == whole.checkpoint
    assert (whole.failure, whole.effective_recipe) == (None, recipe.as_json())
    assert recipe.options["weights.storage"] == "wide"
    assert whole.quantized["weights"]["share"] > 0.5
    found = again(texts, recipe, store.get(whole.checkpoint))
    assert found.score == whole.score
    assert found.quantized["weights"]["share"] > 0.5


def linear(name, rows=4, columns=8):
    """Wide weights of one linear map and an optimizer that steps by -gradient."""
    model = nn.Sequential(nn.Linear(columns, rows, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.randn(rows, columns, generator=torch.Generator().manual_seed(0)))
    groups, one = grouped(model), format_named(name)
    applied = Applied(place="weights", format=one, switches=one.defaults, seed=0)
    recipe = recipe_from({"optimizer": "sgd", "sgd.lr": 1.0, "sgd.momentum": 0.0, "sgd.nesterov": False})
    weights = WideWeights(applied, model, groups.matrices)
    return model[0].weight, weights, weights.optimizer(recipe, groups)


@pytest.mark.parametrize("name", ["fp64", "fp80", "vax_d", "ibm_hfp_long", "posit64", "binary128", "binary256"])
def test_every_step_is_the_exact_sum_rounded_by_the_definition(name):
    weight, weights, optimizer = linear(name)
    random, exact = torch.Generator().manual_seed(1), kind_of(format_named(name)).exact
    held = [Fraction(x) for x in weight.flatten().tolist()]
    switches = Switches(underflow=format_named(name).defaults.underflow)
    for scale in (1e-3, 2.0**-30, 2.0**-50, 1.0):
        weight.grad = scale * torch.randn(weight.shape, generator=random)
        weights.give_gradients()
        optimizer.step(0.75)
        moves = [Fraction(-0.75 * g) for g in weight.grad.double().flatten().tolist()]
        held = [Fraction(exact(format_named(name), w + d, switches)) for w, d in zip(held, moves, strict=True)]
        weights.settle(1, None)
        assert values([part.flatten() for part in weights.masters["0.weight"]]) == held
        assert torch.equal(weight, weights.masters["0.weight"][0].float())
        assert not weights.steps["0.weight"].any()


def test_steps_too_small_for_float64_add_up_in_wider_masters_alone():
    moved = {}
    for name in ("fp64", "fp80", "binary128"):
        weight, weights, optimizer = linear(name)
        start = values([part.flatten() for part in weights.masters["0.weight"]])
        weight.grad = weight.data * 2.0**-62 if name == "fp80" else weight.data * 2.0**-70
        for _ in range(3):
            weights.give_gradients()
            optimizer.step(1.0)
            weights.settle(1, None)
        end = values([part.flatten() for part in weights.masters["0.weight"]])
        moved[name] = [float((x - y) / x) for x, y in zip(start, end, strict=True)]
    assert set(moved["fp64"]) == {0.0}
    assert all(share > 2.0**-63 for share in moved["fp80"])
    assert all(abs(share / (3 * 2.0**-70) - 1) < 1e-9 for share in moved["binary128"])


def test_gradients_and_rows_of_tables_reach_the_masters_and_the_rest_of_the_model_trains_too(small, texts):
    run, text = Run(small(weights="fp80"), 0, TOTAL), as_tensor(texts.split("train"))
    before = {name: weight.detach().clone() for name, weight in run.model.named_parameters()}
    for _ in range(2):
        run.train(text)
    wide = run.quantized.weights
    for name, weight in run.model.named_parameters():
        assert not torch.equal(weight, before[name]), name
        assert torch.equal(weight.data, wide.masters[name][0].float()), name
        assert len(wide.masters[name]) == (2 if name in run.quantized.named else 1), name
        assert wide.steps[name].dtype == torch.float64
    assert any(bool(parts[1].any()) for name, parts in wide.masters.items() if name == "tables")
    assert all(tensor.dtype in (torch.float64, torch.float32) for tensor in run.optimizer.state().values())
    assert torch.get_default_dtype() == torch.float32


def test_masters_that_are_no_values_of_the_format_or_only_float32_are_found_out(small, texts, chunk, store):
    recipe = small(weights="fp80")
    meta, tensors = unpack(store.get(chunk(recipe).checkpoint))
    name = next(name for name in tensors if name.startswith("wide.") and "qkv" in name and name.endswith(".1"))
    low = {**tensors, name: tensors[name] * (1 + 2.0**-40)}
    with pytest.raises(WeightsNotInFormat):
        again(texts, recipe, pack(meta, low))
    with pytest.raises(WeightsNotInFormat):
        again(texts, recipe, pack(meta, {**tensors, "model.embedding": tensors["model.embedding"] * 2}))
    plain = dict(tensors)
    for key in tensors:
        if key.startswith("wide.") and key.endswith(".1"):
            high = key[:-1] + "0"
            plain |= {key: torch.zeros_like(tensors[key]), high: tensors[high].float().double()}
    with pytest.raises(FormatIsIdentity):
        again(texts, recipe, pack(replace(meta), plain))
