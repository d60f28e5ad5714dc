"""Wide weights: storage and update in a format finer than float32; matrix products in float32.

The optimizer runs in float64 and moves a parameter that starts at zero, so that its step d loses no bit to the weight
that it is added to. Then w <- Q(w + d), exactly rounded, on masters that are sums of float64; what the model multiplies
with is their nearest float32. The optimizer must need nothing but gradients, for it does not see the weights.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn

from kernels.expansions import Expansion, grown, normal
from kernels.wide import parts_of, to_format
from training.applied import Applied
from training.change import MOST_LOOKED_AT, Change
from training.optimizers import Groups, Named, Optimizer, optimizers
from training.recipe import Recipe, Scalar


class WideWeights:
    """All parameters of a model with their float64 steps; masters of those that are rounded, and of the others.

    steps: what the optimizer moves. masters: name -> parts. Parameters without a format have one part, not rounded.
    """

    stored = False

    def __init__(self, applied: Applied, model: nn.Module, rounded: Named) -> None:
        self.applied, self.named, self.rounded = applied, dict(model.named_parameters()), rounded
        self.parts = parts_of(applied.format)
        self.steps = {
            name: nn.Parameter(torch.zeros_like(p.data, dtype=torch.float64)) for name, p in self.named.items()
        }
        self.masters: dict[str, Expansion] = {}
        for name, weight in self.named.items():
            first = weight.data.double()
            more = [torch.zeros_like(first) for _ in range(self.parts - 1 if name in rounded else 0)]
            self.masters[name] = [first, *more]
            if name in rounded:
                self.masters[name], _ = to_format(applied.format, self.masters[name], self.parts)
                weight.data.copy_(self.masters[name][0])

    def optimizer(self, recipe: Recipe, groups: Groups) -> Optimizer:
        """The recipe's optimizer over the steps, all of its state in float64."""
        kinds = ("matrices", "embeddings", "tables", "vectors")
        mine = Groups(**{kind: {name: self.steps[name] for name in getattr(groups, kind)} for kind in kinds})
        with float64():
            made: Optimizer = optimizers[recipe.optimizer](mine, recipe.option(recipe.optimizer, "optimizer"))
        return made

    def in_use(self, step: int, found: list[Change] | None) -> AbstractContextManager[None]:
        """The parameters hold what the forward pass reads anyway."""
        return nullcontext()

    def give_gradients(self) -> None:
        """Hand the model's gradients to the optimizer."""
        for name, weight in self.named.items():
            self.steps[name].grad = None if weight.grad is None else weight.grad.double()

    def settle(self, step: int, found: list[Change] | None) -> None:
        """Add to each master what the optimizer has moved, round, and bring the parameter up to it."""
        for name, weight in self.named.items():
            moved = self.steps[name]
            if moved.grad is None:
                continue
            rows = torch.unique(moved.grad._indices()[0]) if moved.grad.is_sparse else slice(None)
            master = [part[rows] for part in self.masters[name]]
            exact = grown(master, moved.data[rows])
            parts = exact[: len(master)]
            if name in self.rounded:
                parts, _ = to_format(self.applied.format, exact, self.parts)
                if found is not None:
                    found.append(beyond(parts))
            for part, value in zip(self.masters[name], parts, strict=True):
                part[rows] = value
            weight.data[rows] = parts[0].float()
            moved.data[rows] = 0.0

    def audit(self) -> tuple[Change, str | None]:
        """The masters' figures, and the name of one that is no value of the format or not what the model holds."""
        total, wrong = Change(), None
        for name in self.rounded:
            again, _ = to_format(self.applied.format, normal(self.masters[name]), self.parts)
            same = all(torch.equal(one, other) for one, other in zip(again, self.masters[name], strict=True))
            if not same or not torch.equal(again[0].float(), self.named[name].data):
                wrong = name
            total += beyond(again)
        return total, wrong

    def state(self) -> Mapping[str, Tensor]:
        """`wide.NAME.I`: every part."""
        return {f"wide.{name}.{i}": part for name, parts in self.masters.items() for i, part in enumerate(parts)}

    def echo(self) -> dict[str, Scalar]:
        """The recipe fields in use."""
        return {**self.applied.echo(), "weights.storage": "wide"}


def beyond(parts: Expansion) -> Change:
    """The counts of masters, as changed those that no float32 holds: a float32 master would be another number.

    Nothing vanishes or is cut within float64's exponents.
    """
    more = torch.stack([parts[0] - parts[0].float(), *parts[1:]]).count_nonzero(dim=0)
    values, distinct = int(parts[0].count_nonzero()), len(torch.unique(parts[0].flatten()[:MOST_LOOKED_AT]))
    return Change(values=values, changed=int(more.count_nonzero()), distinct=distinct)


@contextmanager
def float64() -> Iterator[None]:
    """While entered, new tensors are float64."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
