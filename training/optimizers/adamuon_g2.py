"""AdaMuon's other form: Newton-Schulz of the momentum, divided by the root of the *gradient's* second moment."""

import torch
from torch import Tensor

from training.matrix_steps import Buffers, MatrixOptimizer, orthogonal, to_rms

about = {
    "help": "orthogonalised momentum over the gradient's second moment on matrices; not the published AdaMuon",
    "source": "variant of Si, Zhang, Shen 2025, arXiv:2507.11005, with Adam's second moment (Kingma, Ba 2015)",
    "fields": {
        "lr": {
            "default": 0.01,
            "min": 1e-6,
            "max": 1.0,
            "help": "learning rate of matrices; an update has root mean square 0.2",
        },
        "weight_decay": {"default": 0.0, "min": 0.0, "max": 1.0, "help": "decoupled decay of matrices"},
        "vector_lr": {
            "default": 0.003,
            "min": 1e-6,
            "max": 1.0,
            "help": "Adam learning rate of gains, biases and taps",
        },
        "embedding_lr": {"default": 0.03, "min": 1e-6, "max": 10.0, "help": "Adam learning rate of the byte embedding"},
        "table_lr": {"default": 0.07, "min": 1e-6, "max": 100.0, "help": "learning rate of the n-gram tables"},
        "beta1": {"default": 0.95, "min": 0.0, "max": 0.9999, "help": "decay of the first moment"},
        "beta2": {"default": 0.95, "min": 0.0, "max": 0.99999, "help": "decay of the gradient's second moment"},
    },
}


class AdaMuonG2(MatrixOptimizer):
    """orthogonal(m) / (sqrt(v) + eps), both moments corrected for their start, scaled to 0.2 sqrt(R C) / norm.

    Without the scale a step would grow as gradients shrink: orthogonal(m) does not depend on their size, v does.
    """

    def fresh(self, count: int, rows: int, columns: int) -> Buffers:
        """Both moments of the gradient."""
        return {key: torch.zeros(count, rows, columns) for key in ("mean", "square")}

    def direction(self, g_NRC: Tensor, buffers: Buffers) -> Tensor:
        """See the class."""
        beta1, beta2, steps = self.options["beta1"], self.options["beta2"], int(self.steps)
        buffers["mean"].lerp_(g_NRC, 1 - beta1)
        buffers["square"].lerp_(g_NRC.square(), 1 - beta2)
        update_NRC = orthogonal(buffers["mean"] / (1 - beta1**steps))
        return to_rms(update_NRC / ((buffers["square"] / (1 - beta2**steps)).sqrt() + 1e-8))


adamuon_g2 = AdaMuonG2
