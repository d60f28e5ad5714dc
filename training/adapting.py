"""Adapting: the learner that a recipe's mode of test-time training makes of a model."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.outer import Chunk, Inner, chunk_loss, logits, outer_gradients
from training.recipe import NONE, Recipe, Scalar
from training.scorer import Predictor
from training.scorer.adaptive import ScoreFirst, chunk_windows
from training.ttt import Mode, Tensors, ttt


@dataclass(frozen=True)
class Learned:
    """What was learned from a text: fast weights, and what the update carries beside them. Its size does not grow."""

    fast: Tensors
    moments: Tensors


@dataclass(frozen=True)
class Adaptation:
    """A mode of test-time training with its options, prefixes removed. The learner of one model."""

    name: str
    mode: Mode
    options: Mapping[str, Scalar]
    model: nn.Module

    @property
    def steps(self) -> int:
        """Inner steps on a chunk."""
        return int(self.options["inner_steps"])

    @property
    def resets(self) -> bool:
        """Whether what was learned is forgotten at the next document."""
        return self.options["reset"] == "document"

    def start(self) -> Learned:
        """Nothing learned."""
        fast = self.mode.start(self.model, self.options)
        return Learned(fast, self.mode.moments(fast, self.options))

    def predictor(self, state: Learned) -> Predictor:
        """The model with what was learned."""
        weights = dict(self.mode.weights(self.model, state.fast, self.options))
        return lambda ids_BT: functional.log_softmax(logits(self.model, weights, ids_BT), dim=-1)

    def adapted(self, state: Learned, ids_1T: Tensor, targets_1T: Tensor, count: int) -> Learned:
        """`inner_steps` steps on the mean loss of the last `count` targets."""
        for _ in range(self.steps):
            fast = {name: weight.detach().requires_grad_() for name, weight in state.fast.items()}
            weights = dict(self.mode.weights(self.model, fast, self.options))
            loss = chunk_loss(self.model, weights, Chunk(ids_1T, targets_1T, count))
            gradients = dict(zip(fast, torch.autograd.grad(loss, list(fast.values())), strict=True))
            with torch.no_grad():
                state = Learned(*self.mode.update(state.fast, state.moments, gradients, self.options))
        return state

    def reader(self) -> ScoreFirst[Learned]:
        """The reader that scores this model."""
        return ScoreFirst(self, int(self.options["stride"]))

    def outer(self, progress: float) -> str:
        """How training at this part of its budget differentiates through the inner steps; `none`: not at all."""
        return self.mode.outer(self.options, progress) if self.mode.outer and self.steps else NONE

    def outer_gradients(self, inputs_1S: Tensor, targets_1S: Tensor, kind: str) -> tuple[float, dict[str, Tensor]]:
        """Mean loss of a text that is read as the scorer reads one, and its gradient by every weight as trained."""
        windows = chunk_windows(inputs_1S.shape[1], int(self.options["stride"]))
        chunks = [
            Chunk(inputs_1S[:, each.start : each.end], targets_1S[:, each.start : each.end], each.end - each.first)
            for each in windows
        ]
        inner = Inner(steps=self.steps, lr=float(self.options["inner_lr"]), clip=float(self.options["clip"]))
        return outer_gradients(self.model, self.mode.start(self.model, self.options), chunks, inner, kind)

    def echo(self) -> dict[str, Scalar]:
        """The recipe fields in use."""
        own = {f"{self.name}.{key}" for key in self.mode.about.get("fields", {})}
        named = {key: f"{self.name}.{key}" if f"{self.name}.{key}" in own else f"ttt.{key}" for key in self.options}
        return {"ttt": self.name, **{named[key]: value for key, value in self.options.items()}}


def adaptation(recipe: Recipe, model: nn.Module) -> Adaptation | None:
    """The recipe's test-time training of this model; None where it has none."""
    if recipe.ttt == NONE:
        return None
    mode: Mode = ttt[recipe.ttt]
    return Adaptation(recipe.ttt, mode, {**recipe.option("ttt"), **recipe.option(recipe.ttt, "ttt")}, model)
