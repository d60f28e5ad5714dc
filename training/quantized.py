"""Quantized: how a run's weights, activations and gradients are rounded to the formats of its recipe.

Weights are the matrices of linear maps, the byte embedding (and so the head, which is tied to it) and the n-gram
tables; gains, biases, taps and learned tokens stay as they are. A gradient is taken where the forward pass stood, and
moves the master: the straight-through estimator. Every rounding is a function of values, seed and step alone, so
nothing of it has to be kept.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn

from training.applied import Applied, applied_of
from training.change import Change, Figures
from training.format_fields import PLACES, PLAIN
from training.optimizers import Groups, Named, Optimizer, grouped
from training.reading import attach
from training.recipe import Recipe, Scalar
from training.wide_weights import WideWeights

STREAM = 2**48
"""Random bits of one (seed, step): elements 0.. are those of weights, STREAM.. those of gradients."""

Found = list[Change] | None
"""Where changes are told; None while nobody watches."""


class Weights:
    """Weights that are rounded. stored: what is rounded takes their place, and nothing else is kept.

    Of a table a step moves a few rows; where rows can be rounded one by one, only those are. moved: table -> its rows
    that moved since it was rounded whole.
    """

    def __init__(self, applied: Applied, named: Named, tables: Collection[str], *, stored: bool) -> None:
        self.applied, self.named, self.tables, self.stored = applied, named, tables, stored
        self.rounded = {} if stored else {name: torch.empty_like(weight.data) for name, weight in named.items()}
        self.moved: dict[str, Tensor] = {}

    @contextmanager
    def in_use(self, step: int, found: Found) -> Iterator[None]:
        """While entered, masters are away and their rounded values in their place."""
        masters = {name: self.named[name].data for name in self.rounded}
        for (name, master), first in zip(masters.items(), numbered(masters), strict=True):
            self.round(name, master, step, first)
            if found is not None:
                found.append(self.applied.change(master, self.rounded[name]))
        try:
            for name in masters:
                self.named[name].data = self.rounded[name]
            yield
        finally:
            for name, master in masters.items():
                self.named[name].data = master

    def round(self, name: str, master: Tensor, step: int, first: int) -> None:
        """Bring what is read in a master's place up to it."""
        rows = self.moved.get(name)
        if rows is None:
            self.applied(master, step, first=first, out=self.rounded[name])
            if name in self.tables and self.applied.by_rows and self.applied.switches.rounding != "sr":
                self.moved[name] = torch.empty(0, dtype=torch.int64)
        elif len(rows):
            self.rounded[name][rows] = self.applied(master[rows], step)
            self.moved[name] = rows[:0]

    def settle(self, step: int, found: Found) -> None:
        """After the weights have moved by their gradients, if they have some: round stored ones where they stand.

        Where rows are rounded one by one, their elements are numbered among those of the rows that moved.
        """
        rows = {name: moved_rows(self.named[name].grad) for name in self.tables}
        for name, others in rows.items():
            if name in self.moved:
                self.moved[name] = torch.unique(torch.cat([self.moved[name], others]))
        values = {name: weight.data for name, weight in self.named.items()} if self.stored else {}
        for (name, value), first in zip(values.items(), numbered(values), strict=True):
            before = None if found is None else value.clone()
            moved = rows.get(name) if self.applied.by_rows and step > 0 else None
            if moved is None:
                self.applied(value, step, first=first, out=value)
            else:
                value[moved] = self.applied(value[moved], step, first=first)
            if found is not None and before is not None:
                found.append(self.applied.change(before, value))

    def echo(self) -> dict[str, Scalar]:
        """The recipe fields in use."""
        return {**self.applied.echo(), "weights.storage": "stored" if self.stored else "master"}


class Quantized:
    """All that a recipe rounds in a run. A place without a format costs nothing."""

    def __init__(self, recipe: Recipe, seed: int, model: nn.Module) -> None:
        groups = grouped(model)
        self.named: Named = {**groups.matrices, **groups.embeddings, **groups.tables}
        self.groups, self.weights = groups, weights_of(recipe, seed, model, groups, self.named)
        self.activations = applied_of(recipe, "activations", seed)
        self.gradients = applied_of(recipe, "gradients", seed, STREAM)
        self.found: dict[str, list[Change]] = {}
        if self.activations is not None:
            attach(model, self.read)
        self.settle(0)

    def optimizer(self, recipe: Recipe) -> Optimizer | None:
        """The recipe's optimizer where weights are held wide: theirs. None: the model's own will do."""
        return self.weights.optimizer(recipe, self.groups) if isinstance(self.weights, WideWeights) else None

    def state(self) -> Mapping[str, Tensor]:
        """Live tensors beside the model's that a checkpoint holds, by name: wide masters."""
        return self.weights.state() if isinstance(self.weights, WideWeights) else {}

    def in_use(self, step: int) -> AbstractContextManager[None]:
        """While entered, the parameters hold the weights that predictions after `step` steps are made with."""
        return nullcontext() if self.weights is None else self.weights.in_use(step, self.found.get("weights"))

    def read(self, x: Tensor) -> Tensor:
        """What a linear map reads of x."""
        assert self.activations is not None
        y = self.activations(x)
        if "activations" in self.found:
            self.found["activations"].append(self.activations.change(x.detach(), y.detach()))
        return y

    @torch.no_grad()
    def give_gradients(self, step: int) -> None:
        """Give the optimizer the gradients, those of the weights rounded; of sparse ones, the rows that are there."""
        if self.gradients is not None:
            self.round_gradients(self.gradients, step)
        if isinstance(self.weights, WideWeights):
            self.weights.give_gradients()

    def round_gradients(self, applied: Applied, step: int) -> None:
        """Round them where they stand."""
        given = {name: weight.grad for name, weight in self.named.items() if weight.grad is not None}
        for (name, gradient), first in zip(given.items(), numbered(given), strict=True):
            gradient = gradient.coalesce() if gradient.is_sparse else gradient
            values = gradient._values() if gradient.is_sparse else gradient
            before = values.clone() if "gradients" in self.found else None
            applied(values, step, first=first, out=values)
            self.named[name].grad = gradient
            if before is not None:
                self.found["gradients"].append(applied.change(before, values))

    @torch.no_grad()
    def settle(self, step: int) -> None:
        """Round stored or wide weights, after the optimizer has moved them."""
        if self.weights is not None:
            self.weights.settle(step, self.found.get("weights"))

    @contextmanager
    def watched(self, figures: dict[str, Figures] | None) -> Iterator[None]:
        """While entered, what is rounded is counted; then put into `figures`, for each place that had values.

        None: nobody counts.
        """
        if figures is not None:
            self.found = {place: [] for place, applied in self.applied().items() if applied is not None}
        try:
            yield
            if figures is not None:
                told = {place: sum(found, Change()) for place, found in self.found.items() if found}
                figures |= {place: change.figures(str(self.echo()[place])) for place, change in told.items()}
        finally:
            self.found = {}

    def applied(self) -> Mapping[str, Applied | None]:
        """place -> what is done there."""
        weights = None if self.weights is None else self.weights.applied
        return dict(zip(PLACES, (weights, self.activations, self.gradients), strict=True))

    def echo(self) -> dict[str, Scalar]:
        """The recipe fields in use."""
        parts = {"weights": self.weights, "activations": self.activations, "gradients": self.gradients}
        return {k: v for place, part in parts.items() for k, v in (part.echo() if part else {place: PLAIN}).items()}


def weights_of(
    recipe: Recipe, seed: int, model: nn.Module, groups: Groups, named: Named
) -> "Weights | WideWeights | None":
    """The weights that a recipe rounds, in the storage that it asks for."""
    applied, storage = applied_of(recipe, "weights", seed), recipe.options.get("weights.storage")
    if applied is None:
        return None
    if storage == "wide":
        return WideWeights(applied, model, named)
    return Weights(applied, named, groups.tables, stored=storage == "stored")


def moved_rows(gradient: Tensor | None) -> Tensor:
    """The rows that a sparse gradient moves, in order; without a gradient, none."""
    if gradient is None:
        return torch.empty(0, dtype=torch.int64)
    assert gradient.is_sparse, "a table has sparse gradients"
    rows: Tensor = torch.unique(gradient._indices()[0])
    return rows


def numbered(tensors: Mapping[str, Tensor]) -> Iterator[int]:
    """The number of each tensor's first element, all elements numbered through."""
    first = 0
    for tensor in tensors.values():
        yield first
        first += tensor.numel()


def identity(figures: Mapping[str, Figures]) -> str | None:
    """What says that a format changed no value at some place; None where each did, or had nothing but zeros."""
    for place, one in figures.items():
        if one["values"] and one.get("share") == 0:
            return f"{place} {one['format']} changed none of {one['values']} values: the run is that of {PLAIN}."
    return None
