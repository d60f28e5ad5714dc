"""Phi: constants of the golden ratio, each with its own name, and a ladder of learning rates. Pure; no torch."""

from typing import Final

PHI: Final = (1 + 5**0.5) / 2
"""The golden ratio, 1.6180339887; PHI**2 + PHI**-2 = 3."""

ALPHA_PHI: Final = PHI**-3 / 2
"""0.1180339887: weight decay of `adamw_phi`; also the weight of the newest value in a run's moving average."""

LR_ANCHOR: Final = 0.004
"""Top rung of the ladder of learning rates. It is chosen: ALPHA_PHI as a learning rate diverges."""

LR_CEILING: Final = 0.0072
"""Largest learning rate that goes with a QK gain of PHI**2 or PHI**3; the smallest is LR_CEILING / PHI**4."""


def ladder(rungs: int, anchor: float = LR_ANCHOR) -> list[float]:
    """Learning rates anchor * PHI**(-k / 2) for k = 0 .. rungs - 1."""
    return [anchor * PHI ** (-k / 2) for k in range(rungs)]
