import math

import pytest
import torch

from training.auxiliary.nca import HIGH, LOW, SIDE, K, Nca, distance, entropy, in_states, majority


@pytest.fixture
def nca(small):
    def build(**options):
        torch.manual_seed(0)
        return Nca(small(auxiliary="nca", **options)).double()

    return build


def one_hot(*states):
    return torch.eye(K, dtype=torch.float64)[list(states)]


@pytest.mark.parametrize(("H", "expected"), [(1.0, 0.5), (1.5, 0.0), (2.0, 0.0), (math.log(9), 0.0), (3.0, 3 - HIGH)])
def test_the_distance_from_the_band_is_linear(H, expected):
    assert distance(torch.tensor(H, dtype=torch.float64)).item() == pytest.approx(expected, abs=1e-12)


def test_the_band_ends_at_the_most_that_nine_states_can_have():
    assert (1.5, math.log(9)) == (LOW, HIGH)


def test_uniform_states_have_entropy_ln_nine_and_equal_cells_have_none():
    uniform = torch.full((1, 81, K), 1 / 9, dtype=torch.float64)
    counted = one_hot(*(cell % 9 for cell in range(81)))[None]
    same = one_hot(*[4] * 81)[None]
    assert entropy(uniform).item() == pytest.approx(math.log(9))
    assert entropy(counted).item() == pytest.approx(math.log(9))
    assert entropy(same).item() == 0


def test_a_number_is_mostly_in_the_state_whose_level_it_has():
    probabilities = in_states(torch.linspace(-2, 2, K, dtype=torch.float64))
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(K, dtype=torch.float64))
    assert probabilities.argmax(-1).tolist() == list(range(K))


def test_a_lone_cell_is_outvoted_and_the_grid_is_a_torus():
    grid = one_hot(*[2] * 81).view(1, SIDE, SIDE, K).clone()
    grid[0, 0, 0] = one_hot(7)[0]
    after = majority(grid)
    assert (after.argmax(-1) == 2).all()
    neighbours = [after[0, 0, 1], after[0, 1, 0], after[0, 0, -1], after[0, -1, 0]]
    for cell in neighbours:
        torch.testing.assert_close(cell, neighbours[0])
        assert cell[7] > after[0, 4, 4, 7]


def test_below_the_band_the_gradient_raises_the_entropy_and_within_it_there_is_none(nca):
    module = nca(**{"nca.steps": 8, "nca.stride": 1})
    h = torch.randn(2, 6, 16, dtype=torch.float64).requires_grad_()
    loss, before = module([h, h])
    (gradient,) = torch.autograd.grad(loss, h)
    assert before["nca.entropy"] < LOW
    assert gradient.abs().amax(-1).gt(0).any()
    moved = (h - 0.3 * gradient / gradient.abs().max()).detach()
    assert module([moved, moved])[0] < loss
    within = nca(**{"nca.steps": 0, "nca.stride": 1})
    loss, told = within([h, h])
    assert LOW < told["nca.entropy"] < HIGH
    assert torch.autograd.grad(loss, h)[0].abs().max() == 0


def test_the_last_state_of_a_window_is_always_laid_out(nca):
    module = nca(**{"nca.stride": 5, "nca.steps": 0})
    h = torch.randn(1, 12, 16, dtype=torch.float64)
    other = h.clone()
    other[:, [1, 6, 11]] += 1
    assert module([h, h])[1] != module([other, other])[1]
    other = h + 1
    other[:, [1, 6, 11]] = h[:, [1, 6, 11]]
    assert module([h, h])[1] == module([other, other])[1]


def test_its_matrix_is_neither_trained_nor_stored(nca):
    module = nca()
    assert not list(module.parameters())
    assert not module.state_dict()
    assert torch.equal(module.cells, nca().cells)
