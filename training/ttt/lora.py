"""Low-rank adaptation: a product B A beside each chosen matrix, learned by Adam, forgotten with the text."""

import torch
from torch import Tensor, nn

from training.ttt import Mode, Options, Tensors, clipped, parameters

about = {
    "help": "low-rank updates of matrices, by Adam",
    "source": "Hu et al. 2021, arXiv:2106.09685",
    "combines": {"cms.stack": [0.0]},
    "defaults": {"inner_lr": 0.01},
    "fields": {
        "rank": {"default": 8, "min": 1, "max": 256, "help": "rank of an update"},
        "alpha": {"default": 1.0, "min": 1e-3, "max": 1e3, "help": "an update is alpha / rank times B A"},
        "inner_weights": {"default": "matrices", "choices": ["matrices", "mlp"], "help": "which matrices adapt"},
    },
}

BETA1, BETA2, EPSILON = 0.9, 0.99, 1e-8
"""Of Adam (Kingma, Ba 2015, arXiv:1412.6980), with the second decay of short runs."""

SEED = 0
"""Of A at the start of a text: every text starts from the same."""


def start(model: nn.Module, options: Options) -> Tensors:
    """`name.A` [rank, in], random with unit-length rows in expectation, and `name.B` [out, rank], zero."""
    random, rank = torch.Generator().manual_seed(SEED), int(options["rank"])
    fast: dict[str, Tensor] = {}
    for name, weight in parameters(model, str(options["inner_weights"])).items():
        rows, columns = weight.shape
        fast[f"{name}.A"] = torch.randn(rank, columns, generator=random).to(weight) * columns**-0.5
        fast[f"{name}.B"] = weight.new_zeros(rows, rank)
    return fast


def weights(model: nn.Module, fast: Tensors, options: Options) -> Tensors:
    """W + (alpha / rank) B A"""
    scale = float(options["alpha"]) / int(options["rank"])
    chosen = parameters(model, str(options["inner_weights"])).items()
    return {
        name: torch.addmm(weight.detach(), fast[f"{name}.B"], fast[f"{name}.A"], alpha=scale) for name, weight in chosen
    }


def moments(fast: Tensors, options: Options) -> Tensors:
    """First and second moments of each, and the number of steps."""
    zeros = {f"{name}.{which}": torch.zeros_like(each) for name, each in fast.items() for which in ("m", "v")}
    return {**zeros, "step": torch.zeros(())}


def update(fast: Tensors, moments: Tensors, gradients: Tensors, options: Options) -> tuple[Tensors, Tensors]:
    """One step of Adam on the clipped gradients."""
    step, lr = moments["step"] + 1, float(options["inner_lr"])
    after, carried = {}, {"step": step}
    for name, g in clipped(gradients, float(options["clip"])).items():
        m = torch.lerp(moments[f"{name}.m"], g, 1 - BETA1)
        v = torch.lerp(moments[f"{name}.v"], g * g, 1 - BETA2)
        deviation = (v / (1 - BETA2**step)).sqrt() + EPSILON
        after[name] = fast[name] - lr * m / (1 - BETA1**step) / deviation
        carried |= {f"{name}.m": m, f"{name}.v": v}
    return after, carried


lora = Mode(about, start=start, weights=weights, moments=moments, update=update)
