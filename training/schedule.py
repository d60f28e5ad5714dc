"""Learning-rate schedule in fraction of the budget: rise, hold, fall. Pure; no torch."""


def multiplier(progress: float, warmup: float, decay: float) -> float:
    """What the learning rate is multiplied by at `progress` in [0, 1] of the run.

    Rises linearly from 0 to 1 over the first `warmup`, holds, and falls linearly to 0 over the last `decay`
    (trapezoid; Hägele et al. 2024, arXiv:2405.18392). Both are fractions of the budget, so a short run is a
    complete schedule and not the beginning of a long one.
    """
    rising = progress / warmup if warmup > 0 else 1.0
    falling = (1.0 - progress) / decay if decay > 0 else 1.0
    return max(0.0, min(1.0, rising, falling))
