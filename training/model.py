"""The byte-level language model that a recipe describes."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.adapters import Adapter, adapters
from training.auxiliary import Auxiliary, auxiliaries
from training.compositions import Carried as BlockCarried
from training.compositions import compositions
from training.conductor import Continuum, continuum
from training.depth import band_of
from training.levels import Carried as GatesCarried
from training.levels import Levels
from training.memory import Memory
from training.ngrams import BEGIN, orders, rows
from training.recipe import NONE, Recipe, Scalar


class Carried(NamedTuple):
    """What a text carries to its next ids: the last ngram - 1 ids, and what each block carries, run by run.

    ids: int64 [B, ngram - 1]. A block that runs twice carries two states.
    """

    ids: Tensor
    blocks: tuple[BlockCarried, ...]


class LeveledCarried(NamedTuple):
    """What a block with levels carries on: its composition's, and that of learned gates."""

    mix: BlockCarried
    gates: GatesCarried | None


class Block(nn.Module):
    """x + composition(norm x), then x + MLP(norm x). The MLP is down(relu(up x)^2); `down` starts at zero.

    With levels, the MLP is the first of them.
    """

    def __init__(self, recipe: Recipe, levels: Continuum | None = None, index: int = 0) -> None:
        super().__init__()
        hidden = recipe.mlp_ratio * recipe.width
        self.mix = compositions[recipe.composition](recipe)
        self.up = nn.Linear(recipe.width, hidden, bias=False)
        self.down = nn.Linear(hidden, recipe.width, bias=False)
        nn.init.zeros_(self.down.weight)
        depth = levels.depth(index) if levels is not None else 1
        self.levels = Levels(recipe.width, hidden, levels, depth) if levels is not None and depth > 1 else None

    def forward(self, x_BTD: Tensor, carried: BlockCarried) -> tuple[Tensor, BlockCarried]:
        """One block -> (x_BTD, what it carries on)."""
        mix, gates = carried if self.levels is not None and carried is not None else (carried, None)
        y_BTD, mix = self.mix(functional.rms_norm(x_BTD, x_BTD.shape[-1:]), mix)
        x_BTD = x_BTD + y_BTD
        if self.levels is None:
            return x_BTD + self.mlp(x_BTD), mix
        x_BTD, gates = self.levels(x_BTD, self.mlp, gates)
        return x_BTD, LeveledCarried(mix, gates)

    def mlp(self, x_BTD: Tensor) -> Tensor:
        """What the block's own MLP adds."""
        hidden = functional.relu(self.up(functional.rms_norm(x_BTD, x_BTD.shape[-1:])))
        y_BTD: Tensor = self.down(hidden * hidden)
        return y_BTD


class ByteModel(nn.Module):
    """Embedding of the last byte plus those of hashed n-grams, blocks, and a head tied to the byte embedding.

    The id at position t is the byte *before* the one that position t predicts; BEGIN stands before the first byte.
    `passes` says how often the looped band of blocks runs now; each pass starts by adding a vector of its own.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.ngram, self.buckets, self.softcap = recipe.ngram, recipe.ngram_buckets, recipe.softcap
        self.embedding = nn.Parameter(torch.randn(BEGIN + 1, recipe.width) * recipe.width**-0.5)
        self.tables = nn.Parameter(torch.zeros(len(orders(self.ngram)) * self.buckets, recipe.width))
        self.continuum = continuum(recipe)
        self.blocks = nn.ModuleList(Block(recipe, self.continuum, index) for index in range(recipe.blocks))
        self.band, self.passes = band_of(recipe), recipe.loops
        if recipe.loops > 1:
            self.turns = nn.Parameter(torch.zeros(recipe.loops, recipe.width))
        self.adapters = nn.ModuleList()
        if recipe.adapter != NONE:
            first = adapters[recipe.adapter](recipe)
            more = range(recipe.blocks - 1) if first.place == "blocks" else ()
            self.adapters.extend([first, *(adapters[recipe.adapter](recipe) for _ in more)])
        self.auxiliary: Auxiliary | None = None
        if recipe.auxiliary != NONE:  # made last, so that all else starts as it would without
            self.auxiliary = auxiliaries[recipe.auxiliary](recipe)

    def forward(self, ids_BT: Tensor, carried: Carried | None = None) -> tuple[Tensor, Carried]:
        """Logits of the byte after each id -> ([B, T, 256], what to carry to the next ids).

        A text in one call and the same text in parts with `carried` between them give the same logits, to rounding.
        """
        layers, carried = self.trunk(ids_BT, carried)
        return self.logits(layers[-1]), carried

    def trunk(self, ids_BT: Tensor, carried: Carried | None = None) -> tuple[list[Tensor], Carried]:
        """The embedding and what stands after each run of a block, adapted -> (x_BTD each, what to carry on)."""
        before = max(0, self.ngram - 1)
        past_BS = ids_BT.new_full((len(ids_BT), before), BEGIN) if carried is None else carried.ids
        ids_BS = torch.cat([past_BS, ids_BT], dim=1)
        order = self.band.order(self.passes)
        states = carried.blocks if carried is not None else (None,) * len(order)
        layers, after = [self.embed(ids_BT, ids_BS)], []
        for (block, turn), state in zip(order, states, strict=True):
            x_BTD = layers[-1] + self.turns[turn] if turn is not None and self.band.loops > 1 else layers[-1]
            x_BTD, state = self.blocks[block](x_BTD, state)
            layers.append(self.adapted(x_BTD, "blocks", block))
            after.append(state)
        layers[-1] = self.adapted(layers[-1], "head", 0)
        return layers, Carried(ids_BS[:, ids_BT.shape[1] :], tuple(after))

    def adapted(self, x_BTD: Tensor, place: str, index: int) -> Tensor:
        """x through the adapter at that place, if there is one."""
        if not self.adapters or self.adapters[0].place != place:
            return x_BTD
        y_BTD: Tensor = self.adapters[index](x_BTD)
        return y_BTD

    def logits(self, x_BTD: Tensor) -> Tensor:
        """Logits of the next byte from what the trunk ends with."""
        return head(functional.rms_norm(x_BTD, x_BTD.shape[-1:]), self.embedding[:BEGIN], self.softcap)

    def embed(self, ids_BT: Tensor, ids_BS: Tensor) -> Tensor:
        """Byte embedding plus the sum of the rows of every n-gram that ends here -> [B, T, D]."""
        x_BTD = functional.embedding(ids_BT, self.embedding)
        if not orders(self.ngram):
            return x_BTD
        rows_NO = rows(ids_BS, self.ngram, self.buckets).flatten(0, 1)
        return x_BTD + functional.embedding_bag(rows_NO, self.tables, mode="sum", sparse=True).view_as(x_BTD)

    def echo(self) -> Mapping[str, Scalar]:
        """The recipe fields that this model was built with, read from its modules and tensors."""
        block = self.blocks[0]
        assert isinstance(block, Block)
        width = self.embedding.shape[1]
        sizes = {"width": width, "blocks": len(self.blocks), "mlp_ratio": block.up.out_features // width}
        own = {"ngram": self.ngram, "ngram_buckets": self.buckets, "softcap": self.softcap}
        adapter = self.adapters[0] if self.adapters else None
        parts = {**told(adapter, "adapter"), **told(self.auxiliary, "auxiliary"), **self.level_echo()}
        return {**sizes, **own, **block.mix.echo(), **self.loop_echo(), **parts}

    def level_echo(self) -> Mapping[str, Scalar]:
        """The fields of levels; how many, from the blocks as built."""
        if self.continuum is None:
            return {"cms": NONE}
        return {**self.continuum.echo(), "cms.levels": 1 + max((len(each.slower) for each in self.levels()), default=0)}

    def levels(self) -> Iterator[Levels]:
        """The levels of the blocks that have some."""
        return (module for module in self.modules() if isinstance(module, Levels))

    def memories(self) -> Iterator[Memory]:
        """The memory layers of all blocks."""
        return (module for module in self.modules() if isinstance(module, Memory))

    def loop_echo(self) -> Mapping[str, Scalar]:
        """The fields of depth loops, from the vectors of the passes and the band."""
        if self.band.loops == 1:
            return {}
        first, last = self.band.first, self.band.last
        return {"loops": len(self.turns), "loop_first": first, "loop_last": last, "loop_start": self.band.start}


def told(part: nn.Module | None, kind: str) -> dict[str, Scalar]:
    """The name and the options of a plug-in that may be absent, read back from what was built."""
    if part is None:
        return {kind: NONE}
    assert isinstance(part, Adapter | Auxiliary)
    name = type(part).__module__.rsplit(".", 1)[-1]
    return {kind: name, **{f"{name}.{key}": value for key, value in part.echo().items()}}


def head(x_BTD: Tensor, embedding_VD: Tensor, softcap: float) -> Tensor:
    """softcap + softcap tanh(z / softcap) of z = x E^T, written with a sigmoid; softmax does not see the first term.

    On CPU tanh takes six times as long as sigmoid, and scaling x is cheaper than scaling z.
    """
    return torch.sigmoid(functional.linear(x_BTD * (2 / softcap), embedding_VD)) * (2 * softcap)
