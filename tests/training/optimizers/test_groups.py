"""A level that moves at its own pace has an optimizer of its own, over whichever groups it has weights in."""

from itertools import combinations

import pytest
import torch
from torch import nn

from tests.optimizing import MULTIPLIERS, Problem
from training.optimizers import Groups, optimizers

KINDS = tuple(Problem.shapes)
SUBSETS = [kinds for size in range(len(KINDS) + 1) for kinds in combinations(KINDS, size)]


def after(name, kinds):
    """Every parameter after all steps of an optimizer that has the groups of these kinds alone."""
    problem, options = Problem(), {key: spec["default"] for key, spec in optimizers.about(name)["fields"].items()}
    groups = {kind: named if kind in kinds else {} for kind, named in problem.named.items()}
    optimizer = optimizers[name](Groups(**groups), options)
    for step, multiplier in enumerate(MULTIPLIERS):
        problem.set_gradients(step)
        optimizer.step(multiplier)
    assert all(tensor.isfinite().all() for tensor in optimizer.state().values())
    with optimizer.evaluation_weights():
        return {kind: [p.detach().clone() for p in named.values()] for kind, named in problem.named.items()}


@pytest.mark.parametrize("name", optimizers)
def test_groups_move_alike_whichever_others_are_empty(name):
    whole, untouched = after(name, KINDS), after(name, ())
    for kinds in SUBSETS:
        found = after(name, kinds)
        for kind in KINDS:
            for one, other in zip(found[kind], (whole if kind in kinds else untouched)[kind], strict=True):
                assert torch.equal(one, other), (kinds, kind)


@pytest.mark.parametrize("name", optimizers)
def test_the_tensors_that_a_memory_rule_learns_for_each_head_move_like_other_vectors(name):
    problem, options = Problem(), {key: spec["default"] for key, spec in optimizers.about(name)["fields"].items()}
    cube = nn.Parameter(torch.ones(2, 3, 4, 5))
    vectors = {**problem.named["vectors"], "cube": cube}
    optimizer = optimizers[name](Groups(**{**problem.named, "vectors": vectors}), options)
    shapes = {key: tensor.shape for key, tensor in optimizer.state().items()}
    for step, multiplier in enumerate(MULTIPLIERS):
        problem.set_gradients(step)
        cube.grad = torch.ones_like(cube)
        optimizer.step(multiplier)
    assert {key: tensor.shape for key, tensor in optimizer.state().items()} == shapes
    assert (cube < 1).all()
    for one, other in zip(after(name, KINDS)["vectors"], problem.named["vectors"].values(), strict=True):
        with optimizer.evaluation_weights():
            assert torch.equal(one, other)
