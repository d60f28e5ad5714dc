"""The optimizer of a model with levels: each moves at its own steps, by the gradients gathered since its last one.

Every schedule has an optimizer of its own, with its own step count and moments, so a level that does not fire costs an
addition and nothing else. Weights that fire after every step share one with all that is outside the levels.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.conductor import Continuum, Schedule, continuum, share
from training.levels import Levels, Parts
from training.optimizers import Groups, Named, Optimizer, grouped, optimizers
from training.recipe import Recipe, Scalar

Build = Callable[[Groups], Optimizer]


@dataclass(frozen=True, kw_only=True)
class Part:
    """Weights that move together: those of a level, or the learned starts of one, put back into it when they move.

    moved: name -> what moves. sources: name -> whose gradient is gathered; of a level, the same.
    """

    schedule: Schedule
    moved: Named
    sources: Named

    @property
    def restarts(self) -> bool:
        """Whether these are learned starts."""
        return any(self.moved[name] is not self.sources[name] for name in self.moved)


class Gathering:
    """A part with its optimizer and buffers. fires: how often it moved."""

    def __init__(self, part: Part, inner: Optimizer, buffer: str) -> None:
        self.part, self.inner, self.buffer = part, inner, buffer
        self.sums = {name: torch.zeros_like(weight.data) for name, weight in part.moved.items()}
        self.count, self.fires = torch.zeros((), dtype=torch.int64), torch.zeros((), dtype=torch.int64)

    def gather(self) -> None:
        """Add this step's gradients to the buffers."""
        for name, weight in self.part.sources.items():
            assert weight.grad is not None, name
            self.sums[name] += weight.grad
        self.count += 1

    def fire(self, multiplier: float) -> None:
        """Move by what was gathered, empty the buffers, and put starts back into their level."""
        factor = share(self.buffer, int(self.count))
        for name, weight in self.part.moved.items():
            weight.grad = self.sums[name] * factor
        self.inner.step(multiplier)
        self.fires += 1
        self.clear()
        if self.part.restarts:
            for name, weight in self.part.moved.items():
                self.part.sources[name].copy_(weight)

    def clear(self) -> None:
        """Forget what was gathered."""
        self.count.zero_()
        for sums in self.sums.values():
            sums.zero_()

    def state(self) -> dict[str, Tensor]:
        """Buffers, counts, learned starts and the optimizer's state."""
        own = {"count": self.count, "fires": self.fires, **{f"sum.{name}": sums for name, sums in self.sums.items()}}
        if self.part.restarts:
            own |= {f"start.{name}": weight.data for name, weight in self.part.moved.items()}
        return {**own, **{f"optimizer.{name}": tensor for name, tensor in self.inner.state().items()}}


class Leveled(Optimizer):
    """See the module. main: the optimizer of all that fires after every step; slow: the other parts."""

    def __init__(self, model: nn.Module, levels: Continuum, build: Build, total_steps: int) -> None:
        self.levels, self.total_steps, self.step_done = levels, total_steps, torch.zeros((), dtype=torch.int64)
        groups, found = grouped(model), parts(model, levels)
        gathered = {name for part in found if not part.restarts for name in part.moved}
        self.main = build(restricted(groups, lambda name: name not in gathered))
        buffer = str(levels.options["buffer"])
        self.slow = [Gathering(part, build(restricted(groups, part.moved.__contains__, part.moved)), buffer)
                     for part in found]  # fmt: skip
        self.schedules = tuple(part.schedule for part in found)

    @torch.no_grad()
    def step(self, multiplier: float) -> None:
        """Move what fires after this step; gather for the rest. At the end of the budget `flush` says what becomes."""
        step = int(self.step_done)
        last, flush = step + 1 == self.total_steps, self.levels.options["flush"]
        active = self.levels.pulse(step, self.schedules).active
        for slow in self.slow:
            slow.gather()
        self.main.step(multiplier)
        for slow, due in zip(self.slow, active, strict=True):
            if due or (last and flush == "apply" and not slow.part.restarts):
                slow.fire(multiplier)
            elif last and flush == "discard":
                slow.clear()
        self.step_done += 1

    def forget(self, weights: Iterable[nn.Parameter]) -> None:
        """Drop what was gathered for levels of which some of these weights are: they have been handed on."""
        moved = {id(weight) for weight in weights}
        for slow in self.slow:
            if any(id(weight) in moved for weight in slow.part.moved.values()):
                slow.clear()

    def state(self) -> dict[str, Tensor]:
        """The main optimizer's state, the step, and every part's."""
        slow = {f"level.{i}.{name}": t for i, part in enumerate(self.slow) for name, t in part.state().items()}
        return {**self.main.state(), "level.step": self.step_done, **slow}

    def echo(self) -> Mapping[str, Scalar]:
        """The options in use."""
        return self.main.echo()

    @contextmanager
    def evaluation_weights(self) -> Iterator[None]:
        """While entered, every part holds the weights to score."""
        with ExitStack() as stack:
            for optimizer in (self.main, *(slow.inner for slow in self.slow if not slow.part.restarts)):
                stack.enter_context(optimizer.evaluation_weights())
            yield


def optimizer_of(recipe: Recipe, model: nn.Module, total_steps: int) -> Optimizer:
    """The optimizer that a recipe names, with its levels where something does not fire after every step."""
    levels, options = continuum(recipe), recipe.option(recipe.optimizer, "optimizer")

    def build(groups: Groups) -> Optimizer:
        made: Optimizer = optimizers[recipe.optimizer](groups, options)
        return made

    if levels is None or not parts(model, levels):
        return build(grouped(model))
    return Leveled(model, levels, build, total_steps)


def parts(model: nn.Module, levels: Continuum) -> Sequence[Part]:
    """What does not fire after every step, and learned starts: in the order of their schedules, starts last.

    Starts come last so that a level first moves and is then put back.
    """
    moving: dict[Schedule, dict[str, nn.Parameter]] = {}
    starting: dict[Schedule, dict[str, nn.Parameter]] = {}
    for block, level, head, named in weights_of_levels(model):
        schedule, restart = levels.schedule(block, level, head), levels.restart(block, level)
        if schedule.period > levels.step_size:
            moving.setdefault(schedule, {}).update(named)
        if restart is not None:
            starting.setdefault(restart, {}).update(named)
    slow = [Part(schedule=key, moved=named, sources=named) for key, named in sorted(moving.items())]
    starts = [Part(schedule=key, moved=copied(named), sources=named) for key, named in sorted(starting.items())]
    return [*slow, *starts]


def weights_of_levels(model: nn.Module) -> Iterator[tuple[int, int, int, dict[str, nn.Parameter]]]:
    """(block, level, part of it, its weights by name) of every level in the model, plain blocks left out."""
    named = dict(model.named_parameters())
    for path, module in model.named_modules():
        if isinstance(module, Levels):
            block = path.rsplit(".", 1)[0]
            owners: list[tuple[int, int, tuple[str, ...]]] = [(0, 0, (f"{block}.up.", f"{block}.down."))]
            for level, slower in enumerate(module.slower, start=1):
                start = f"{path}.slower.{level - 1}."
                heads = [f"parts.{head}." for head in range(len(slower.parts))] if isinstance(slower, Parts) else [""]
                owners += [(level, head, (start + part,)) for head, part in enumerate(heads)]
            for level, head, starts in owners:
                own = {name: weight for name, weight in named.items() if name.startswith(starts)}
                yield int(block.rsplit(".", 1)[-1]), level, head, own


def copied(named: Named) -> dict[str, nn.Parameter]:
    """New parameters with the same values."""
    return {name: nn.Parameter(weight.detach().clone()) for name, weight in named.items()}


def restricted(groups: Groups, wanted: Callable[[str], bool], other: Named | None = None) -> Groups:
    """The groups' parameters of the wanted names; `other` gives those that stand in their place."""
    kinds = {kind: getattr(groups, kind) for kind in ("matrices", "embeddings", "tables", "vectors")}
    return Groups(**{
        kind: {name: other[name] if other else weight for name, weight in named.items() if wanted(name)}
        for kind, named in kinds.items()
    })  # fmt: skip
