"""SGD with momentum on the model's own weights, or on some of them."""

import torch
from torch import Tensor, nn

from training.ttt import Mode, Options, Tensors, clipped, descended, parameters

about = {
    "help": "SGD on the model's weights",
    "source": "Krause et al. 2018, arXiv:1709.07432 (dynamic evaluation)",
    "combines": {"cms.stack": [0.0]},
    "fields": {
        "inner_weights": {
            "default": "all",
            "choices": ["all", "matrices", "mlp", "vectors", "embeddings", "tables"],
            "help": "which weights adapt",
        },
        "inner_momentum": {"default": 0.0, "min": 0.0, "max": 0.999, "help": "decay of the sum of past gradients"},
    },
}


def start(model: nn.Module, options: Options) -> Tensors:
    """The weights that adapt, as trained."""
    return {name: weight.detach() for name, weight in parameters(model, str(options["inner_weights"])).items()}


def weights(model: nn.Module, fast: Tensors, options: Options) -> Tensors:
    """They stand in for themselves."""
    return fast


def moments(fast: Tensors, options: Options) -> Tensors:
    """A velocity for each, where there is momentum."""
    return {name: torch.zeros_like(weight) for name, weight in fast.items()} if options["inner_momentum"] else {}


def update(fast: Tensors, moments: Tensors, gradients: Tensors, options: Options) -> tuple[Tensors, Tensors]:
    """v = momentum v + g; w = w - lr v, with g clipped."""
    momentum, lr = float(options["inner_momentum"]), float(options["inner_lr"])
    step: dict[str, Tensor] = clipped(gradients, float(options["clip"]))
    if momentum:
        step = {name: moments[name] * momentum + g for name, g in step.items()}
    return descended(fast, step, lr), step if momentum else {}


sgd = Mode(about, start=start, weights=weights, moments=moments, update=update)
