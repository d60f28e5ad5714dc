"""A live run: a model, its optimizer, and the step it has reached."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from training.checkpoint import Meta, pack, restore
from training.environment import Environment
from training.model import ByteModel
from training.optimizers import Optimizer, grouped, optimizers
from training.recipe import Recipe, recipe_from
from training.schedule import multiplier
from training.windows import window_batch


class Run:
    """Recipe and seed turned into weights. `step` optimizer steps of `total_steps` are done."""

    def __init__(self, recipe: Recipe, seed: int, total_steps: int) -> None:
        self.recipe, self.seed, self.total_steps, self.step = recipe, seed, total_steps, 0
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model = ByteModel(recipe)
        self.optimizer: Optimizer = optimizers[recipe.optimizer](grouped(self.model), recipe.option(recipe.optimizer))

    def train(self, text_S: Tensor) -> float:
        """One optimizer step -> its mean loss in bits per byte.

        Where the loss or a gradient is not finite, no weight has moved, and the answer is not finite either.
        """
        recipe = self.recipe
        size = {"batch": recipe.batch, "context": recipe.context}
        inputs_BT, targets_BT = window_batch(text_S, seed=self.seed, step=self.step, **size)
        for parameter in self.model.parameters():
            parameter.grad = None
        logits_BTV, _ = self.model(inputs_BT)
        loss = functional.cross_entropy(logits_BTV.flatten(0, 1), targets_BT.flatten())
        bits = loss.item() / math.log(2)
        if math.isfinite(bits):
            loss.backward()  # type: ignore[no-untyped-call]
            if not self.gradients_finite():
                return math.nan
            self.optimizer.step(multiplier((self.step + 0.5) / self.total_steps, recipe.warmup, recipe.decay))
            self.step += 1
        return bits

    def gradients_finite(self) -> bool:
        """Whether all gradients are finite: a sum is, only if its terms are, and is ten times faster to look at."""
        gradients = [parameter.grad for parameter in self.model.parameters() if parameter.grad is not None]
        values = [gradient._values() if gradient.is_sparse else gradient for gradient in gradients]
        return bool(torch.stack([value.sum() for value in values]).isfinite().all())

    def predict(self, ids_BT: Tensor) -> Tensor:
        """What the scorer asks for: log-probabilities [B, T, 256] of the byte after each id."""
        return functional.log_softmax(self.model(ids_BT)[0], dim=-1)

    def tensors(self) -> dict[str, Tensor]:
        """Every live tensor that a checkpoint holds, by name."""
        model = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        return {**model, **{f"optimizer.{name}": tensor for name, tensor in self.optimizer.state().items()}}

    def finite(self) -> bool:
        """Whether all weights are finite."""
        return all(bool(torch.isfinite(tensor).all()) for tensor in self.model.state_dict().values())

    def checkpoint(self, environment: Environment) -> bytes:
        """The run as a file."""
        own = {"seed": self.seed, "step": self.step, "total_steps": self.total_steps}
        return pack(Meta(recipe=self.recipe.as_json(), environment=environment.facts, **own), self.tensors())

    def effective(self) -> Recipe:
        """The recipe read back from the built model and optimizer, with the sizes and schedule that `train` uses."""
        name = type(self.optimizer).__module__.rsplit(".", 1)[-1]
        options = {f"{name}.{key}": value for key, value in self.optimizer.echo().items()}
        used = {key: getattr(self.recipe, key) for key in ("batch", "context", "warmup", "decay")}
        return recipe_from({**self.model.echo(), **used, **options, "optimizer": name})


def resumed(meta: Meta, tensors: Mapping[str, Tensor]) -> Run:
    """The run that a checkpoint holds. Raises CheckpointCorrupt, and what `recipe_from` raises."""
    run = Run(recipe_from(meta.recipe), meta.seed, meta.total_steps)
    restore(run.tensors(), tensors)
    run.step = meta.step
    return run
