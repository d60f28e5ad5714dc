"""State-space model: a gated linear recurrence in place of attention, or beside it."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.attention import Cache
from training.compositions import Composition, WindowAttention
from training.memory import TAPS, sum_of_taps
from training.recipe import NONE, Recipe, Scalar
from training.recurrence import recur_segments

about = {
    "help": "gated linear recurrence (state-space model), alone or beside sliding-window attention",
    "source": "Dao, Gu 2024, arXiv:2405.21060 (Mamba-2); Dong et al. 2024, arXiv:2411.13676 (beside attention)",
    "combines": {"rule": ["none"]},
    "fields": {
        "state": {"default": 16, "min": 1, "max": 256, "help": "dimensions of the state a channel"},
        "expand": {"default": 1, "min": 1, "max": 4, "help": "channels of the recurrence over the model width"},
        "attention": {
            "default": False,
            "help": "whether window attention runs beside it; if not, `window` does nothing",
        },
    },
}

SEGMENT = 64
"""Tokens that the recurrence takes at once."""

SLOWEST, FASTEST = 0.001, 0.1
"""Range of the step sizes dt at the start, log-uniform over the heads; Mamba's."""

LARGEST_RATE = 16.0
"""Rates A of the heads start evenly spaced in 1..16; Mamba-2's."""


class Carried(NamedTuple):
    """What is carried on: the last TAPS - 1 inputs of the convolution, the recurrence's state, attention's cache.

    tail: [B, TAPS - 1, E + 2 K].
    """

    tail: Tensor
    S_BHKV: Tensor
    attention: Cache | None


class Ssm(Composition):
    """y = W_o N(recurrence(silu(conv(W x))) * silu(z)); a_t = exp(-softplus(dt_t) exp(A_log)), N an RMS norm with gain.

    E = expand D channels in H heads; q and k (C and B of the source) have `state` dimensions and serve all heads.
    With attention, W_o reads both. W_o starts at zero, so that the block starts as the identity.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        options = recipe.option("ssm")
        D, H, self.state = recipe.width, recipe.heads, int(options["state"])
        self.heads, self.window, self.channels = H, recipe.window, D * int(options["expand"])
        mixed = self.channels + 2 * self.state
        self.inward = nn.Linear(D, self.channels + mixed + H, bias=False)
        self.taps = nn.Parameter(torch.zeros(TAPS, mixed))
        with torch.no_grad():
            self.taps[0] = 1.0
        dt_H = torch.logspace(math.log10(SLOWEST), math.log10(FASTEST), H)
        self.dt_bias = nn.Parameter(dt_H.expm1().log())
        self.A_log = nn.Parameter(torch.linspace(1.0, LARGEST_RATE, H).log())
        self.skip = nn.Parameter(torch.ones(H))
        self.gain = nn.Parameter(torch.ones(self.channels))
        self.attention = WindowAttention(D, H, recipe.window) if options["attention"] else None
        self.out = nn.Linear(self.channels + (D if self.attention else 0), D, bias=False)
        nn.init.zeros_(self.out.weight)

    def forward(self, x_BTD: Tensor, carried: Carried | None) -> tuple[Tensor, Carried]:
        """Run the recurrence, and attention where there is one, on the same tokens."""
        y_BTE, tail, S_BHKV = self.recurrence(x_BTD, carried)
        cache = None
        if self.attention is not None:
            z_BTD, cache = self.attention(x_BTD, carried.attention if carried is not None else None)
            y_BTE = torch.cat([y_BTE, functional.rms_norm(z_BTD, z_BTD.shape[-1:])], dim=-1)
        return self.out(y_BTE), Carried(tail, S_BHKV, cache)

    def recurrence(self, x_BTD: Tensor, carried: Carried | None) -> tuple[Tensor, Tensor, Tensor]:
        """-> (y_BTE normed and gated, tail, state)."""
        B, T, _ = x_BTD.shape
        E, K, H = self.channels, self.state, self.heads
        z_BTE, p_BTC, dt_BTH = torch.split(self.inward(x_BTD), [E, E + 2 * K, H], dim=-1)
        tail = p_BTC.new_zeros(B, TAPS - 1, E + 2 * K) if carried is None else carried.tail
        p_BSC = torch.cat([tail, p_BTC], dim=1)
        u_BTE, k_BTK, q_BTK = torch.split(functional.silu(sum_of_taps(p_BSC, self.taps)), [E, K, K], dim=-1)
        u_BHTV = u_BTE.view(B, T, H, E // H).transpose(1, 2)
        dt_BHT = functional.softplus(dt_BTH + self.dt_bias).transpose(1, 2)
        log_a_BHT = -dt_BHT * self.A_log.exp()[:, None]
        S_BHKV = u_BHTV.new_zeros(B, H, K, E // H) if carried is None else carried.S_BHKV
        y_BHTV, S_BHKV = recur_segments(
            S_BHKV, q_BTK[:, None], k_BTK[:, None], dt_BHT[..., None] * u_BHTV, log_a_BHT, SEGMENT
        )
        y_BTE = (y_BHTV + self.skip[:, None, None] * u_BHTV).transpose(1, 2).reshape(B, T, E)
        return functional.rms_norm(y_BTE * functional.silu(z_BTE), (E,), self.gain), p_BSC[:, T:], S_BHKV

    def echo(self) -> Mapping[str, Scalar]:
        """The recipe fields that this module was built with."""
        D = self.inward.in_features
        own = {"ssm.state": self.state, "ssm.expand": self.channels // D, "ssm.attention": self.attention is not None}
        return {"composition": "ssm", "rule": NONE, "heads": self.heads, "window": self.window, **own}


ssm = Ssm
