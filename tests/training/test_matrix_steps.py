import pytest
import torch

from tests.optimizing import Problem, newton_schulz
from training.matrix_steps import by_shape, muon_length, orthogonal, to_rms

SHAPES = [(2, 16, 16), (1, 48, 16), (3, 16, 48)]


def matrices(shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_batch_is_orthogonalised_as_each_of_its_matrices_alone(shape):
    for one, x in zip(orthogonal(matrices(shape)), matrices(shape), strict=True):
        torch.testing.assert_close(one.double(), newton_schulz(x.double()), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_matrix_gets_the_same_root_mean_square_and_zero_stays_zero(shape):
    x = matrices(shape)
    torch.testing.assert_close(to_rms(x).square().mean((1, 2)).sqrt(), torch.full((len(x),), 0.2))
    assert to_rms(torch.zeros(shape)).eq(0).all()


def test_muon_goes_further_in_tall_matrices():
    assert [muon_length(matrices(shape)) for shape in SHAPES] == [1.0, 3**0.5, 1.0]


def test_matrices_of_one_shape_are_one_batch():
    batches = by_shape(Problem().groups.matrices)
    assert {shape: len(batch) for shape, batch in batches.items()} == {(6, 6): 1, (12, 5): 2, (5, 12): 1}


@pytest.mark.parametrize("shape", SHAPES)
def test_muon_brings_every_singular_value_near_one(shape):
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonal(matrices))
    assert values.max() < 1.3
    assert values.mean() > 0.7
    cosine = torch.nn.functional.cosine_similarity(orthogonal(matrices).flatten(1), matrices.flatten(1))
    assert (cosine > 0.8).all()
