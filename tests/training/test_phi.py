import pytest

from db.advance import ALPHA
from training.optimizers import optimizers
from training.phi import ALPHA_PHI, LR_ANCHOR, LR_CEILING, PHI, ladder


def test_the_constants_have_their_exact_forms():
    assert pytest.approx(3, abs=1e-15) == PHI**2 + PHI**-2
    assert pytest.approx((5**0.5 - 2) / 2, abs=1e-15) == ALPHA_PHI
    assert pytest.approx(ALPHA, abs=1e-15) == ALPHA_PHI


def test_three_constants_have_three_values():
    assert [round(value, 10) for value in (ALPHA_PHI, LR_ANCHOR, LR_CEILING)] == [0.1180339887, 0.004, 0.0072]


def test_the_ladder_falls_by_the_root_of_phi():
    rates = ladder(6)
    assert [round(rate, 6) for rate in rates] == [0.004, 0.003145, 0.002472, 0.001943, 0.001528, 0.001201]
    assert rates[4] == pytest.approx(LR_ANCHOR / PHI**2)


def test_adamw_phi_starts_at_the_anchor():
    assert optimizers.about("adamw_phi")["fields"]["lr"]["default"] == LR_ANCHOR
