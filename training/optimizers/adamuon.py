"""AdaMuon as published: Newton-Schulz of the momentum's signs, each element divided by its running root mean square."""

import torch
from torch import Tensor

from training.matrix_steps import Buffers, MatrixOptimizer, orthogonal, to_rms

about = {
    "help": "Muon with Adam's second moment on matrices, Adam on the rest, row-wise Adagrad on the n-gram tables",
    "source": "Si, Zhang, Shen 2025, arXiv:2507.11005",
    "fields": {
        "lr": {
            "default": 0.005,
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
        "momentum": {"default": 0.95, "min": 0.0, "max": 0.9999, "help": "decay of the gradient's running mean"},
        "beta2": {"default": 0.95, "min": 0.0, "max": 0.99999, "help": "decay of the update's second moment"},
    },
}


class AdaMuon(MatrixOptimizer):
    """o = orthogonal(sign m); v = b2 v + (1 - b2) o^2; the update o / (sqrt(v) + eps), scaled to 0.2 sqrt(R C) / norm.

    m is a running mean; the paper's sum has the same signs.
    """

    def fresh(self, count: int, rows: int, columns: int) -> Buffers:
        """The running mean of gradients and the second moment of updates."""
        return {key: torch.zeros(count, rows, columns) for key in ("mean", "square")}

    def direction(self, g_NRC: Tensor, buffers: Buffers) -> Tensor:
        """See the class."""
        buffers["mean"].lerp_(g_NRC, 1 - self.options["momentum"])
        update_NRC = orthogonal(buffers["mean"].sign())
        buffers["square"].lerp_(update_NRC.square(), 1 - self.options["beta2"])
        return to_rms(update_NRC / (buffers["square"].sqrt() + 1e-8))


adamuon = AdaMuon
