"""End-to-end test-time training: the MLPs of the last blocks adapt, and training has prepared them to."""

from torch import nn

from training.ttt import Mode, Options, Tensors, clipped, descended, parameters

about = {
    "help": "SGD on the MLPs of the last quarter of the blocks, trained through its own steps",
    "source": "Tandon et al. 2025, arXiv:2512.23675",
    "defaults": {"inner_lr": 0.3},
    "combines": {"cms.stack": [0.0], "auxiliary": ["none"], "boundaries": ["none"]},
    "fields": {
        "outer": {
            "default": "adjoint",
            "choices": ["adjoint", "first_order", "none"],
            "help": "how training differentiates through the inner steps",
        },
        "outer_fraction": {"default": 0.2, "min": 0.0, "max": 1.0, "help": "last part of the budget that does"},
    },
}

SHARE = 4
"""One block in so many adapts, from the end, and at least one."""


def start(model: nn.Module, options: Options) -> Tensors:
    """MLP matrices of the last quarter of the blocks, as trained."""
    blocks = sorted({int(name.split(".")[1]) for name in parameters(model, "mlp")})
    last = {f"blocks.{block}." for block in blocks[-max(1, len(blocks) // SHARE) :]}
    mlp = parameters(model, "mlp")
    return {name: weight.detach() for name, weight in mlp.items() if any(map(name.startswith, last))}


def weights(model: nn.Module, fast: Tensors, options: Options) -> Tensors:
    """They stand in for themselves."""
    return fast


def moments(fast: Tensors, options: Options) -> Tensors:
    """None: the inner optimizer is plain SGD."""
    return {}


def update(fast: Tensors, moments: Tensors, gradients: Tensors, options: Options) -> tuple[Tensors, Tensors]:
    """w = w - lr g, with g clipped."""
    return descended(fast, clipped(gradients, float(options["clip"])), float(options["inner_lr"])), {}


def outer(options: Options, progress: float) -> str:
    """The chosen way in the last part of the budget."""
    return str(options["outer"]) if progress >= 1 - float(options["outer_fraction"]) else "none"


e2e = Mode(about, start=start, weights=weights, moments=moments, update=update, outer=outer)
