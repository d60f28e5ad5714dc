import pytest

from tests.optimizing import adam
from training.phi import ALPHA_PHI, PHI


def test_it_is_adamw_with_the_constants_of_phi(follows):
    def rule(decay):
        return lambda *given: adam(*given, betas=(1 / PHI, 0.95), decay=decay)

    follows("adamw_phi", matrices=rule(ALPHA_PHI), dense=rule(0.0))


def test_the_built_optimizer_holds_the_constants(built):
    matrices = built("adamw_phi").inner.adam.inner.param_groups[0]
    assert matrices["betas"][0] == pytest.approx(0.6180339887498949, abs=1e-15)
    assert matrices["weight_decay"] == pytest.approx(0.1180339887498949, abs=1e-15)
