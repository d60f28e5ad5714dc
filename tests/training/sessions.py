"""Models to open sessions on."""

from dataclasses import replace

import torch

from training.environment import environment
from training.run import Run
from training.serving import Served, served


def checkpoint_of(recipe, seed=0):
    """A checkpoint whose weights are shaken, so that no branch is still zero."""
    run = Run(recipe, seed, 10)
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in run.model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=random) * 0.1)
    return run.checkpoint(environment())


def served_of(recipe, *, double=False, **options) -> Served:
    """The recipe's model, in float64 where sums must agree in every order."""
    one = served(checkpoint_of(recipe), **options)
    return replace(one, model=one.model.double()) if double else one
