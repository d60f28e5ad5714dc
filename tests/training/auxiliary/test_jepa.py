import pytest
import torch
from torch.nn import functional

from training.auxiliary.jepa import Jepa


@pytest.fixture
def jepa(small):
    def build(**options):
        torch.manual_seed(0)
        module = Jepa(small(auxiliary="jepa", **options)).double()
        with torch.no_grad():
            module.down.weight.normal_()
        return module

    return build


def states(length=12, seed=0):
    return torch.randn(2, length, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_it_is_the_weighted_smooth_l1_over_three_horizons(jepa):
    module, h = jepa(), states()
    loss, told = module([h, h])
    normed = (h - h.mean(-1, keepdim=True)) / (h.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    foretold = functional.gelu(normed @ module.up.weight.T) @ module.down.weight.T
    expected = 0
    for index, (ahead, share) in enumerate([(1, 1.0), (2, 0.5), (3, 0.25)]):
        d = (foretold[:, :-ahead, 16 * index : 16 * index + 16] - normed[:, ahead:]).abs()
        expected = expected + share * torch.where(d < 1, d * d / 2, d - 0.5).mean()
    torch.testing.assert_close(loss, expected)
    assert told == {"jepa.loss": pytest.approx(expected.item())}


def test_no_gradient_flows_through_the_targets(jepa):
    """The last state is a target of those before it and foretells nothing; the first is no target and foretells."""
    h = states().requires_grad_()
    loss, _ = jepa()([h, h])
    (gradient,) = torch.autograd.grad(loss, h)
    assert gradient[:, -1].abs().max() == 0
    assert (gradient[:, :-1].abs().amax(-1) > 0).all()


def test_its_predictor_starts_as_the_mean_of_what_it_foretells(small):
    module = Jepa(small(auxiliary="jepa")).double()
    h = states()
    loss, _ = module([h, h])
    normed = functional.layer_norm(h, (16,))
    zero = sum(
        s * functional.smooth_l1_loss(0 * normed[:, k:], normed[:, k:]) for k, s in ((1, 1), (2, 0.5), (3, 0.25))
    )
    torch.testing.assert_close(loss, zero)


def test_it_sets_in_rises_and_rests(jepa):
    module = jepa(**{"jepa.weight": 2.0, "jepa.start": 0.3, "jepa.ramp": 0.2, "jepa.rest": 0.2})
    assert [module.weight(at) for at in (0.0, 0.29, 0.81, 1.0)] == [0, 0, 0, 0]
    assert module.weight(0.4) == pytest.approx(1.0)
    assert module.weight(0.5) == module.weight(0.8) == 2.0
    assert jepa(**{"jepa.ramp": 0.0}).weight(0.3) == 0.001
