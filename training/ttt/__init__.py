"""Test-time training: how a model goes on learning from the text it is scored on, each chunk after its score is final.

A mode is a plug-in of three pure functions over fast weights, which are tensors by name. `training.adapting` runs the
loop and owns the gradient. The literal `about` of this file holds the options that every mode has, spelt `ttt.option`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from plugins import About, Plugins
from training.optimizers import grouped
from training.recipe import Scalar

about = {
    "fields": {
        "inner_steps": {"default": 1, "min": 0, "max": 16, "help": "steps on a chunk once it is scored; 0 for none"},
        "inner_lr": {
            "default": 0.1,
            "min": 0.0,
            "max": 100.0,
            "help": "learning rate of such a step; a mode may have its own default",
        },
        "clip": {"default": 1.0, "min": 1e-6, "max": 1e6, "help": "largest norm of such a step's gradient"},
        "stride": {"default": 256, "min": 16, "max": 65536, "help": "bytes of a chunk"},
        "reset": {
            "default": "document",
            "choices": ["document", "none"],
            "help": "where what was learned is forgotten",
        },
    },
}
"""A mode's header may hold `defaults` of its own for these."""

Tensors = Mapping[str, Tensor]
Options = Mapping[str, Scalar]

KINDS = ("all", "matrices", "mlp", "vectors", "embeddings", "tables")
"""Which parameters: all, or a group of `training.optimizers`; mlp: matrices of blocks outside their composition."""


@dataclass(frozen=True)
class Mode:
    """One mode of test-time training. Options are those of `ttt` and of the mode, without their prefixes.

    start: (model, options) -> fast weights before any text
    weights: (model, fast, options) -> the parameters by name with which the model is called, in place of its own
    moments: (fast, options) -> what `update` carries beside them, before any text
    update: (fast, moments, gradients, options) -> fast and moments after a step; changes no tensor in place
    outer: (options, progress) -> how training at this part of its budget differentiates through the inner steps, one of
    `training.outer.KINDS`; None: a mode that only scores. A mode with it moves plain weights by clipped SGD.
    """

    about: About
    start: Callable[[nn.Module, Options], Tensors]
    weights: Callable[[nn.Module, Tensors, Options], Tensors]
    moments: Callable[[Tensors, Options], Tensors]
    update: Callable[[Tensors, Tensors, Tensors, Options], tuple[Tensors, Tensors]]
    outer: Callable[[Options, float], str] | None = None


def parameters(model: nn.Module, kind: str) -> dict[str, Tensor]:
    """The parameters of one of KINDS, by name."""
    groups = grouped(model)
    if kind == "mlp":
        return {name: weight for name, weight in groups.matrices.items() if ".mix." not in name}
    if kind == "all":
        return dict(model.named_parameters())
    return dict(getattr(groups, kind))


def clipped(gradients: Tensors, limit: float) -> dict[str, Tensor]:
    """The gradients, scaled down together where their norm is above the limit. Sparse ones are coalesced."""
    dense = {name: g.coalesce() if g.is_sparse else g for name, g in gradients.items()}
    scale = float((limit / norm(dense)).clamp(max=1.0))
    return {name: g * scale for name, g in dense.items()} if scale < 1 else dense


def norm(tensors: Tensors) -> Tensor:
    """Euclidean norm of all of them together, in float64; sparse ones must be coalesced."""
    parts = [g.values() if g.is_sparse else g for g in tensors.values()]
    return torch.stack([part.double().square().sum() for part in parts]).sum().sqrt()


def descended(fast: Tensors, step: Tensors, lr: float) -> dict[str, Tensor]:
    """w - lr v, for each w in `fast` and v in `step`, dense or sparse."""
    return {name: torch.add(weight, step[name], alpha=-lr) for name, weight in fast.items()}


ttt = Plugins("training.ttt")
