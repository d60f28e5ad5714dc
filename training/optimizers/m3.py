"""M3: momenta of several time scales, each orthogonalised, over the root of a second moment."""

import torch
from torch import Tensor

from training.matrix_steps import Buffers, MatrixOptimizer, muon_length, orthogonal, to_rms

about = {
    "help": "fast and slow momentum, orthogonalised, on matrices; Adam on the rest, row-wise Adagrad on the tables",
    "source": "Behrouz et al. 2025, Nested Learning (HOPE), M3",
    "fields": {
        "lr": {"default": 0.01, "min": 1e-6, "max": 1.0, "help": "learning rate of matrices"},
        "weight_decay": {"default": 0.0, "min": 0.0, "max": 1.0, "help": "decoupled decay of matrices"},
        "vector_lr": {
            "default": 0.003,
            "min": 1e-6,
            "max": 1.0,
            "help": "Adam learning rate of gains, biases and taps",
        },
        "embedding_lr": {"default": 0.03, "min": 1e-6, "max": 10.0, "help": "Adam learning rate of the byte embedding"},
        "table_lr": {"default": 0.07, "min": 1e-6, "max": 100.0, "help": "learning rate of the n-gram tables"},
        "accumulate": {
            "default": "ema",
            "choices": ["ema", "sum"],
            "help": "ema: m = b m + (1 - b) g; sum, as published: m = m + b g, and likewise the second moment",
        },
        "beta1": {"default": 0.95, "min": 0.0, "max": 1.0, "help": "of the fast momentum; see accumulate"},
        "beta2": {"default": 0.95, "min": 0.0, "max": 1.0, "help": "of the second moment; see accumulate"},
        "beta3": {"default": 0.9, "min": 0.0, "max": 1.0, "help": "of slow momenta; see accumulate"},
        "levels": {"default": 2, "min": 1, "max": 4, "help": "momenta; level j is refreshed every period**j steps"},
        "period": {"default": 8, "min": 1, "max": 1024, "help": "steps between two refreshes of level 1"},
        "slow": {"default": 0.5, "min": 0.0, "max": 10.0, "help": "weight of each slow momentum beside the fast one"},
        "nesterov": {"default": False, "help": "whether the fast momentum looks ahead, as Muon's; only with ema"},
        "newton_schulz": {"default": True, "help": "whether momenta are orthogonalised"},
        "second_moment": {
            "default": True,
            "help": "whether the sum of directions is divided by the second moment's root",
        },
        "length": {
            "default": "rms",
            "choices": ["rms", "muon", "none"],
            "help": "of an update: root mean square 0.2; times sqrt(max(1, rows / columns)); or as published",
        },
    },
}


class M3(MatrixOptimizer):
    """m1 takes every gradient, m_j every period**j steps the sum of those since; W -= lr (o1 + slow sum o_j) / sqrt(v).

    o = orthogonal(m); a slow o is held until its level is refreshed. One level without a second moment is Muon;
    without Newton-Schulz it is momentum of several rates. Gradients are summed in `since`, apart for each level.
    """

    def fresh(self, count: int, rows: int, columns: int) -> Buffers:
        """Fast momentum and second moment; of each slow level its momentum, its gradients and its held direction."""
        slow = [f"{key}{level}" for level in range(1, self.options["levels"]) for key in ("slow", "since", "held")]
        return {key: torch.zeros(count, rows, columns) for key in ("fast", "square", *slow)}

    def direction(self, g_NRC: Tensor, buffers: Buffers) -> Tensor:
        """See the class."""
        self.accumulate(buffers["fast"], g_NRC, self.options["beta1"])
        update_NRC = self.oriented(self.looked_ahead(g_NRC, buffers["fast"]))
        for level in range(1, self.options["levels"]):
            update_NRC = update_NRC.add(self.held(level, g_NRC, buffers), alpha=self.options["slow"])
        if self.options["second_moment"]:
            self.accumulate(buffers["square"], g_NRC.square(), self.options["beta2"])
            update_NRC = update_NRC / (buffers["square"].sqrt() + 1e-8)
        length = self.options["length"]
        return to_rms(update_NRC) if length == "rms" else update_NRC * (muon_length(g_NRC) if length == "muon" else 1.0)

    def held(self, level: int, g_NRC: Tensor, buffers: Buffers) -> Tensor:
        """The direction of a slow level, refreshed if this step is one of its own."""
        slow, since, held = (buffers[f"{key}{level}"] for key in ("slow", "since", "held"))
        since += g_NRC
        if int(self.steps) % self.options["period"] ** level == 0:
            self.accumulate(slow, since, self.options["beta3"])
            held.copy_(self.oriented(slow))
            since.zero_()
        return held

    def accumulate(self, into: Tensor, x: Tensor, beta: float) -> None:
        """into = into + beta x, or beta into + (1 - beta) x."""
        if self.options["accumulate"] == "sum":
            into.add_(x, alpha=beta)
        else:
            into.lerp_(x, 1 - beta)

    def looked_ahead(self, g_NRC: Tensor, fast_NRC: Tensor) -> Tensor:
        """Nesterov's (1 - b) g + b m, or the momentum itself."""
        return g_NRC.lerp(fast_NRC, self.options["beta1"]) if self.options["nesterov"] else fast_NRC

    def oriented(self, x_NRC: Tensor) -> Tensor:
        """Orthogonalised, unless that is off."""
        return orthogonal(x_NRC) if self.options["newton_schulz"] else x_NRC


m3 = M3
