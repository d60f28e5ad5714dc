import pytest
import torch

from training.adapters.phi_nta import PHI, PhiNta
from training.checkpoint import unpack
from training.environment import environment
from training.run import Run, resumed
from training.windows import as_tensor


@pytest.fixture
def recipe(small):
    return lambda **changes: small(composition="attention", rule="none", adapter="phi_nta", **changes)


@pytest.mark.parametrize("width", [16, 64, 96])
def test_every_row_of_the_frozen_map_has_norm_one_over_phi(recipe, width):
    torch.manual_seed(0)
    frozen = PhiNta(recipe(width=width)).frozen
    torch.testing.assert_close(frozen.norm(dim=1), torch.full((width,), 0.6180339887))
    assert frozen.shape == (width, width)


@pytest.mark.parametrize(("width", "rank"), [(16, 10), (64, 40), (512, 316)])
def test_the_trained_map_has_rank_round_width_over_phi(recipe, width, rank):
    adapter = PhiNta(recipe(width=width))
    assert adapter.A.weight.shape == (rank, width)
    assert adapter.B.weight.shape == (width, rank)
    assert rank == round(width / PHI)


def test_it_starts_as_the_input_plus_the_frozen_map_of_the_normed_input(recipe):
    torch.manual_seed(0)
    adapter = PhiNta(recipe(width=64))
    x = torch.randn(3, 7, 64)
    normed = x / x.square().mean(-1, keepdim=True).sqrt()
    torch.testing.assert_close(adapter(x), x + normed @ adapter.frozen.T, rtol=1e-5, atol=1e-5)
    assert adapter.B.weight.abs().max() == 0
    assert adapter.A.weight.std().item() == pytest.approx(0.02, rel=0.1)


def test_the_frozen_map_comes_from_the_seed_is_not_trained_and_not_stored(recipe, texts):
    run, other = Run(recipe(), 1, 10), Run(recipe(), 2, 10)
    before = run.model.adapters[0].frozen.clone()
    for _ in range(5):
        run.train(as_tensor(texts.split("train")))
    assert torch.equal(run.model.adapters[0].frozen, before)
    assert not torch.equal(other.model.adapters[0].frozen, before)
    meta, tensors = unpack(run.checkpoint(environment()))
    assert not [name for name in tensors if "frozen" in name]
    assert torch.equal(resumed(meta, tensors).model.adapters[0].frozen, before)
