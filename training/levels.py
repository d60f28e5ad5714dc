"""The slower levels of a block: more MLPs beside its own, chained or side by side, gated by what came before."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
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


class Parts(nn.Module):
    """A level in parts that are updated apart, summed with learned weights that are all one at the start."""

    def __init__(self, width: int, hidden: int, count: int) -> None:
        super().__init__()
        sizes = [len(part) for part in torch.arange(hidden).tensor_split(count)]
        self.parts = nn.ModuleList(Mlp(width, size) for size in sizes)
        self.shares = nn.Parameter(torch.zeros(count))

    def forward(self, x_BTD: Tensor) -> Tensor:
        """What the level adds."""
        return torch.stack([share * part(x_BTD) for share, part in self.weighed()]).sum(0)

    def weighed(self) -> list[tuple[Tensor, Mlp]]:
        """Every part with its weight."""
        shares = self.shares.softmax(0) * len(self.parts)
        return [(share, part) for share, part in zip(shares, self.parts, strict=True) if isinstance(part, Mlp)]


class Levels(nn.Module):
    """The levels of a block from the second on.

    always: whether every level is read, whatever learned gates say; see `Continuum.always`.
    present: how many levels there are by now, the block's own MLP among them; see `Continuum.present`.
    watch: is told the penalty of learned gates, where somebody asks for it.
    """

    def __init__(self, width: int, hidden: int, continuum: Continuum, depth: int) -> None:
        super().__init__()
        options, self.always = continuum.options, True
        self.present, self.penalty = depth, float(options["gate_penalty"])
        self.paces = [float(int(options["ratio"])) ** -level for level in range(1, depth)]
        self.watch: Callable[[Tensor], None] | None = None
        made = (Mlp(width, hidden) if continuum.heads == 1 else Parts(width, hidden, continuum.heads)
                for _ in range(depth - 1))  # fmt: skip
        self.slower = nn.ModuleList(made)
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
        slower = list(self.slower)[: self.present - 1]
        if self.chained:
            x_BTD = x_BTD + fast(x_BTD)
            for gate, level in zip(gates, slower, strict=False):
                x_BTD = x_BTD + gate * level(x_BTD)
            return x_BTD, carried
        shares = self.shares[: self.present].softmax(0)
        y_BTD = shares[0] * fast(x_BTD)
        for share, gate, level in zip(shares[1:], gates, slower, strict=False):
            y_BTD = y_BTD + share * gate * level(x_BTD)
        return x_BTD + y_BTD, carried

    def absent(self) -> Iterator[nn.Parameter]:
        """The weights of levels that are not there yet."""
        for level in list(self.slower)[self.present - 1 :]:
            yield from level.parameters()

    @torch.no_grad()
    def push(self, level: int, up_UD: Tensor, down_DU: Tensor) -> None:
        """A level comes with what the one before it had learned, and that one adds nothing from then on.

        up, down: weights of the block's own MLP, which comes before level 1. In a chain the block computes what it did.
        """
        downs, parts = [down_DU], [part for _, part in mlps(self.slower[level - 1])]
        if level > 1:
            earlier = mlps(self.slower[level - 2])
            downs = [part.down.weight for _, part in earlier]
            up_UD = torch.cat([part.up.weight for _, part in earlier])
            down_DU = torch.cat([share * part.down.weight for share, part in earlier], dim=1)
        sizes = [part.up.out_features for part in parts]
        rows, columns = torch.split(up_UD, sizes), torch.split(down_DU, sizes, dim=1)
        for part, up, down in zip(parts, rows, columns, strict=True):
            part.up.weight.copy_(up)
            part.down.weight.copy_(down)
        for down in downs:
            down.zero_()

    def gates(self, x_BTD: Tensor, carried: Carried | None) -> tuple[Tensor, Carried]:
        """1 where a level is read, 0 elsewhere -> ([B, T, depth - 1], what to carry on).

        f = sigmoid(gate . mean + bias) over the mean of the chunk before (zero before the first), so that no gate sees
        its own chunk; read where f > 1/2. The gradient is that of f (straight through).
        """
        mean_BTD, carried = earlier_means(functional.rms_norm(x_BTD, x_BTD.shape[-1:]), self.chunk, carried)
        f_BTL = torch.sigmoid(functional.linear(mean_BTD, self.gate, self.gate_bias))
        if self.watch is not None:
            means_L = f_BTL.mean((0, 1))
            self.watch(self.penalty * (means_L - means_L.new_tensor(self.paces)).square()[: self.present - 1].sum())
        read_BTL = torch.ones_like(f_BTL) if self.always else (f_BTL > 0.5).to(f_BTL.dtype)
        return read_BTL + (f_BTL - f_BTL.detach()), carried


def mlps(level: nn.Module) -> list[tuple[Tensor, Mlp]]:
    """The MLPs that a slower level consists of, with their weights."""
    if isinstance(level, Parts):
        return level.weighed()
    assert isinstance(level, Mlp), type(level)
    return [(torch.ones(()), level)]


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


@contextmanager
def watched(every: Iterable[Levels]) -> Iterator[list[Tensor]]:
    """While entered, the penalties of learned gates that have one gather in the list, one a block and call."""
    found: list[Tensor] = []
    with_penalty = [levels for levels in every if levels.gated and levels.penalty]
    for levels in with_penalty:
        levels.watch = found.append
    try:
        yield found
    finally:
        for levels in with_penalty:
            levels.watch = None
