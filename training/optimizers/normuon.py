"""NorMuon: Muon whose orthogonalised update is divided, row by row, by a running root mean square."""

import torch
from torch import Tensor

from training.matrix_steps import Buffers, MatrixOptimizer, muon_length, orthogonal

about = {
    "help": "Muon with rows of equal size on matrices, Adam on the rest, row-wise Adagrad on the n-gram tables",
    "source": "Li et al. 2025, arXiv:2510.05491",
    "fields": {
        "lr": {"default": 0.02, "min": 1e-6, "max": 1.0, "help": "learning rate of matrices"},
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
        "beta2": {"default": 0.95, "min": 0.0, "max": 0.99999, "help": "decay of a row's mean square"},
    },
}


class NorMuon(MatrixOptimizer):
    """o = orthogonal((1 - mu) g + mu m); v = b2 v + (1 - b2) mean_row(o^2); o / sqrt(v), brought back to o's norm.

    A matrix goes as far as with Muon: the norm is kept, and sqrt(max(1, R / C)) multiplies it.
    """

    def fresh(self, count: int, rows: int, columns: int) -> Buffers:
        """The running mean of gradients and the mean square of each row."""
        return {"mean": torch.zeros(count, rows, columns), "row_square": torch.zeros(count, rows, 1)}

    def direction(self, g_NRC: Tensor, buffers: Buffers) -> Tensor:
        """See the class."""
        buffers["mean"].lerp_(g_NRC, 1 - self.options["momentum"])
        update_NRC = orthogonal(g_NRC.lerp(buffers["mean"], self.options["momentum"]))
        norm_N11 = update_NRC.norm(dim=(1, 2), keepdim=True)
        buffers["row_square"].lerp_(update_NRC.square().mean(2, keepdim=True), 1 - self.options["beta2"])
        scaled_NRC = update_NRC / (buffers["row_square"].sqrt() + 1e-10)
        scaled_NRC *= norm_N11 / (scaled_NRC.norm(dim=(1, 2), keepdim=True) + 1e-10)
        return scaled_NRC * muon_length(g_NRC)


normuon = NorMuon
