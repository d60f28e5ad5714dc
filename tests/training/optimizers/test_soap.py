import pytest
import torch
from pytorch_optimizer import SOAP

from tests.optimizing import MULTIPLIERS, Problem


@pytest.mark.parametrize("largest", [8192, 8])
def test_it_follows_the_library_whose_state_begins_with_the_first_step(problem, built, largest):
    options = {"lr": 0.01, "weight_decay": 0.1, "period": 3, "largest": largest}
    ours, other = built("soap", **options), Problem()
    matrices = other.named["matrices"]
    bare = SOAP(
        list(matrices.values()), lr=0.01, weight_decay=0.1, precondition_frequency=3, max_precondition_dim=largest
    )
    for step, multiplier in enumerate(MULTIPLIERS):
        for each in (problem, other):
            each.set_gradients(step)
        bare.param_groups[0]["lr"] = 0.01 * multiplier
        bare.step()
        ours.step(multiplier)
        for name, parameter in matrices.items():
            torch.testing.assert_close(problem.parameters[name], parameter, rtol=1e-4, atol=1e-5)


def test_a_side_over_the_limit_has_no_preconditioner(built):
    names = built("soap", largest=8).state().keys()
    assert {"tall.GG.1", "tall.Q.1", "wide.GG.0"} <= names
    assert not {"tall.GG.0", "tall.Q.0", "wide.GG.1"} & names


def test_bases_are_orthogonal_after_every_step(problem, built):
    optimizer = built("soap", period=2)
    for step, multiplier in enumerate(MULTIPLIERS):
        problem.set_gradients(step)
        optimizer.step(multiplier)
        for name, basis in optimizer.state().items():
            if ".Q." in name:
                torch.testing.assert_close(basis.T @ basis, torch.eye(len(basis)), rtol=0, atol=1e-5)
