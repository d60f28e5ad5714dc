"""The slower levels of a block: more MLPs beside its own, chained or side by side, gated by what came before."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.conductor import Continuum

CLOSED = -1.0
"""Bias of the learned gate of level l at the start is l times this: slower levels start more closed."""


class Carried(NamedTuple):
    """What learned gates carry on: the mean of the last whole chunk, the sum of the current one, its length so far.

    mean, total: [B, D]. done: int64, no axes; a tensor like all that a model carries.
    """

    mean: Tensor
    total: Tensor
    done: Tensor


class Mlp(nn.Module):
    """down(relu(up norm x)^2). `down` starts at zero."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(width, hidden, bias=False), nn.Linear(hidden, width, bias=False)
        nn.init.zeros_(self.down.weight)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """What the level adds."""
        hidden = functional.relu(self.up(functional.rms_norm(x_BTD, x_BTD.shape[-1:])))
        y_BTD: Tensor = self.down(hidden * hidden)
        return y_BTD


class Levels(nn.Module):
    """The levels of a block from the second on.

    always: whether every level is read, whatever learned gates say; see `Continuum.always`.
    """

    def __init__(self, width: int, hidden: int, continuum: Continuum, depth: int) -> None:
        super().__init__()
        options, self.always = continuum.options, True
        self.slower = nn.ModuleList(Mlp(width, hidden) for _ in range(depth - 1))
        self.chained, self.chunk = options["aggregation"] == "chain", int(options["gate_chunk"])
        if not self.chained:
            self.shares = nn.Parameter(torch.zeros(depth))
        self.gated = options["gates"] == "learned"
        if self.gated:
            self.gate = nn.Parameter(torch.zeros(depth - 1, width))
            self.gate_bias = nn.Parameter(CLOSED * torch.arange(1.0, depth))

    def forward(
        self, x_BTD: Tensor, fast: Callable[[Tensor], Tensor], carried: Carried | None
    ) -> tuple[Tensor, Carried | None]:
        """x after all levels, `fast` first -> (x_BTD, what to carry on)."""
        gates: tuple[Tensor | float, ...] = (1.0,) * len(self.slower)
        if self.gated:
            open_BTL, carried = self.gates(x_BTD, carried)
            gates = open_BTL[..., None].unbind(2)
        if self.chained:
            x_BTD = x_BTD + fast(x_BTD)
            for gate, level in zip(gates, self.slower, strict=True):
                x_BTD = x_BTD + gate * level(x_BTD)
            return x_BTD, carried
        shares = self.shares.softmax(0)
        y_BTD = shares[0] * fast(x_BTD)
        for share, gate, level in zip(shares[1:], gates, self.slower, strict=True):
            y_BTD = y_BTD + share * gate * level(x_BTD)
        return x_BTD + y_BTD, carried

    def gates(self, x_BTD: Tensor, carried: Carried | None) -> tuple[Tensor, Carried]:
        """1 where a level is read, 0 elsewhere -> ([B, T, depth - 1], what to carry on).

        f = sigmoid(gate . mean + bias) over the mean of the chunk before (zero before the first), so that no gate sees
        its own chunk; read where f > 1/2. The gradient is that of f (straight through).
        """
        mean_BTD, carried = earlier_means(functional.rms_norm(x_BTD, x_BTD.shape[-1:]), self.chunk, carried)
        f_BTL = torch.sigmoid(functional.linear(mean_BTD, self.gate, self.gate_bias))
        read_BTL = torch.ones_like(f_BTL) if self.always else (f_BTL > 0.5).to(f_BTL.dtype)
        return read_BTL + (f_BTL - f_BTL.detach()), carried


def earlier_means(x_BTD: Tensor, chunk: int, carried: Carried | None) -> tuple[Tensor, Carried]:
    """For each position the mean of x over the whole chunk before its own; chunks are counted from a text's start."""
    if carried is None:
        carried = Carried(torch.zeros_like(x_BTD[:, 0]), torch.zeros_like(x_BTD[:, 0]), torch.tensor(0))
    mean_BD, sum_BD, done, means = carried.mean, carried.total, int(carried.done), []
    for part_BTD in torch.tensor_split(x_BTD, list(range(chunk - done, x_BTD.shape[1], chunk)), dim=1):
        means.append(mean_BD[:, None].expand(part_BTD.shape))
        sum_BD, done = sum_BD + part_BTD.sum(1), done + part_BTD.shape[1]
        if done == chunk:
            mean_BD, sum_BD, done = sum_BD / chunk, torch.zeros_like(sum_BD), 0
    return torch.cat(means, 1), Carried(mean_BD, sum_BD, torch.tensor(done))
