import itertools
import math

import pytest
import torch

from training.checkpoint import unpack
from training.environment import environment
from training.optimizers import Eager, grouped, optimizers
from training.run import Run, resumed
from training.scorer import score
from training.windows import as_tensor


@pytest.fixture(params=optimizers)
def name(request):
    return request.param


@pytest.fixture
def begun(name, small, texts):
    """A run with that optimizer after a few steps: begun() -> (run, losses)."""

    def start(steps=5, seed=1):
        run = Run(small(optimizer=name), seed, 60)
        return run, [run.train(as_tensor(texts.split("train"))) for _ in range(steps)]

    return start


REACHED = {
    "adafactor": 0.94,
    "adamuon": 1.25,
    "adamuon_g2": 1.18,
    "adamw": 1.15,
    "adamw_phi": 0.99,
    "lion": 2.82,
    "m3": 1.19,
    "muon": 1.09,
    "normuon": 0.97,
    "schedulefree": 1.16,
    "sgd": 1.35,
    "soap": 1.09,
}
"""Bits per byte on held-out words after 40 steps, as docs/optimizers.md has them."""

SURELY, ROUNDING = 3.5, 0.05
"""What any optimizer reaches, and how far another processor may be off."""


def test_it_decreases_the_loss_of_a_real_model(name, begun, texts):
    run, losses = begun(steps=40)
    assert losses[0] > 6
    assert sum(losses[-5:]) / 5 < 0.6 * losses[0]
    with run.optimizer.evaluation_weights():
        reached = score(run.predict, texts.split("validation"), probe_seed=0).bpb
    assert reached < REACHED.get(name, SURELY) + ROUNDING


def test_two_equal_runs_give_equal_bits(begun):
    (one, losses), (other, again) = begun(), begun()
    assert losses == again
    for key, tensor in one.tensors().items():
        assert torch.equal(tensor, other.tensors()[key]), key


def test_state_names_and_shapes_do_not_change_with_training(begun):
    new, _ = begun(steps=0)
    old, _ = begun(steps=3)
    assert {k: v.shape for k, v in new.tensors().items()} == {k: v.shape for k, v in old.tensors().items()}


def test_state_is_laid_out_as_a_checkpoint_gives_it_back(begun):
    """Another layout would be another order of summation, and so other bits after a reload."""
    run, _ = begun(steps=12)
    assert [key for key, tensor in run.tensors().items() if not tensor.is_contiguous()] == []


def test_a_learning_rate_of_zero_moves_nothing(begun):
    run, _ = begun()
    before = {key: tensor.clone() for key, tensor in run.model.state_dict().items()}
    run.optimizer.step(0.0)
    for key, tensor in run.model.state_dict().items():
        assert torch.equal(tensor, before[key]), key


def test_every_parameter_moves(begun):
    new, _ = begun(steps=0)
    old, _ = begun(steps=5)
    after = old.model.state_dict()
    for key, tensor in new.model.state_dict().items():
        assert not torch.equal(tensor, after[key]), key


def test_rows_without_a_gradient_do_not_move(begun):
    run, _ = begun(steps=4)
    before = run.model.tables.detach().clone()
    gradient = run.model.tables.grad.to_dense()
    run.optimizer.step(1.0)
    untouched = gradient.eq(0).all(1)
    assert untouched.any()
    assert torch.equal(run.model.tables[untouched], before[untouched])


def test_it_echoes_the_options_it_was_built_with(name, small):
    fields = {f"{name}.{key}": other_value(spec) for key, spec in optimizers.about(name)["fields"].items()}
    run = Run(small(optimizer=name, **fields), 0, 10)
    assert {f"{name}.{key}": value for key, value in run.optimizer.echo().items()} == fields


def other_value(spec):
    """A value that is not the default."""
    if isinstance(spec["default"], bool):
        return not spec["default"]
    if isinstance(spec["default"], str):
        return next(each for each in spec["choices"] if each != spec["default"])
    return type(spec["default"])((spec["min"] + spec["max"]) / 2)


def test_a_run_resumed_at_any_step_is_the_uninterrupted_run_bit_for_bit(begun, texts):
    text = as_tensor(texts.split("train"))
    whole, _ = begun(steps=0)
    files = [whole.checkpoint(environment())]
    for _ in range(12):
        with whole.optimizer.evaluation_weights():
            whole.predict(text[None, :8].long())
        whole.train(text)
        files.append(whole.checkpoint(environment()))
    for before, after in itertools.pairwise(files):
        run = resumed(*unpack(before))
        run.train(text)
        assert run.checkpoint(environment()) == after, f"from step {run.step - 1}"


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_nothing_moves_where_a_number_is_not_finite(begun, texts, where):
    run, _ = begun()
    if where == "loss":
        with torch.no_grad():
            run.model.embedding[97] = math.nan
    else:
        run.model.blocks[0].up.weight.register_hook(lambda gradient: gradient * math.nan)
    before = {key: tensor.clone() for key, tensor in run.tensors().items()}
    assert math.isnan(run.train(as_tensor(texts.split("train"))))
    assert run.step == 5
    for key, tensor in run.tensors().items():
        assert torch.equal(tensor.nan_to_num(), before[key].nan_to_num()), key


def test_a_zero_gradient_leaves_all_weights_finite(begun):
    run, _ = begun(steps=0)
    for parameter in run.model.parameters():
        dense = torch.zeros_like(parameter)
        parameter.grad = dense.to_sparse(1) if parameter is run.model.tables else dense
    run.optimizer.step(1.0)
    run.optimizer.step(1.0)
    assert run.finite()


def test_scoring_uses_the_weights_that_the_optimizer_evaluates(begun):
    run, _ = begun()
    before = {key: tensor.clone() for key, tensor in run.model.state_dict().items()}
    with run.optimizer.evaluation_weights():
        assert all(tensor.isfinite().all() for tensor in run.model.state_dict().values())
    assert all(torch.equal(tensor, before[key]) for key, tensor in run.model.state_dict().items())


def test_without_torch_s_compiler_adamw_computes_the_same_bits():
    start, random = torch.randn(2, 5, 3), torch.Generator().manual_seed(0)
    theirs, ours = (start.clone().requires_grad_() for _ in range(2))
    steps = torch.optim.AdamW([theirs], lr=0.1, eps=1e-10, fused=True), Eager([ours], lr=0.1, eps=1e-10, fused=True)
    for _ in range(4):
        theirs.grad = torch.randn(start.shape, generator=random)
        ours.grad = theirs.grad.clone()
        for optimizer in steps:
            optimizer.step()
        assert torch.equal(ours, theirs)
    assert not torch.equal(ours, start)


def test_every_parameter_is_in_exactly_one_group(small):
    model = Run(small(), 0, 1).model
    groups = grouped(model)
    names = [name for group in (groups.matrices, groups.embeddings, groups.tables, groups.vectors) for name in group]
    assert sorted(names) == sorted(name for name, _ in model.named_parameters())
    assert all(parameter.ndim == 2 for parameter in groups.matrices.values())


def test_row_adagrad_is_the_textbook_formula(small):
    run = Run(small(), 0, 1)
    table = run.model.tables
    rows = run.optimizer.rest.rows
    first, second = torch.zeros_like(table), torch.zeros_like(table)
    first[3], second[3] = 0.5, -2.0
    for gradient in (first, second):
        table.grad = gradient.to_sparse(1)
        rows.step(1.0)
    expected = -rows.lr * (0.5 / 0.5 - 2.0 / math.sqrt(0.25 + 4.0))
    torch.testing.assert_close(table.detach()[3], torch.full_like(table[3], expected))
