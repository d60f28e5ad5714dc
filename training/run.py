"""A live run: a model, its optimizer, and the step it has reached."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from training.adapting import Adaptation, adaptation
from training.checkpoint import Meta, pack, restore
from training.documents import opens, parts
from training.environment import Environment
from training.leveled import Leveled, optimizer_of
from training.levels import watched
from training.model import ByteModel
from training.recipe import NONE, Recipe, recipe_from
from training.schedule import multiplier
from training.scorer import Score, score
from training.scorer.adaptive import score_adaptive
from training.stacking import push_levels
from training.windows import places, window_batch


class Run:
    """Recipe and seed turned into weights. `step` optimizer steps of `total_steps` are done.

    told: figures of the auxiliary loss at the last step that took it.
    Between two steps the model stands as in the one done last: it is scored with the depth that it was trained with.
    """

    def __init__(self, recipe: Recipe, seed: int, total_steps: int) -> None:
        self.recipe, self.seed, self.total_steps, self.step = recipe, seed, total_steps, 0
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model = ByteModel(recipe)
        self.deepen(0)
        self.told: dict[str, float] = {}
        self.optimizer = optimizer_of(recipe, self.model, total_steps)
        self.adaptation: Adaptation | None = adaptation(recipe, self.model)

    def train(self, text_S: Tensor, starts_N: Tensor | None = None) -> float:
        """One optimizer step -> its mean loss in bits per byte.

        starts_N: the first byte of each document in the text, which a recipe with `boundaries` needs.
        Where the loss or a gradient is not finite, no weight has moved, and the answer is not finite either.
        """
        recipe, progress = self.recipe, (self.step + 0.5) / self.total_steps
        self.deepen(self.step)
        handed = push_levels(self.model, self.step, self.total_steps)
        if handed and isinstance(self.optimizer, Leveled):
            self.optimizer.forget(handed)
        for parameter in self.model.parameters():
            parameter.grad = None
        for parameter in (each for levels in self.model.levels() for each in levels.absent()):
            parameter.grad = torch.zeros_like(parameter)
        kind = self.adaptation.outer(progress) if self.adaptation else NONE
        nats = (
            self.differentiate(text_S, starts_N, progress) if kind == NONE else self.differentiate_inner(text_S, kind)
        )
        bits = nats / math.log(2)
        if math.isfinite(bits):
            if not self.gradients_finite():
                return math.nan
            self.optimizer.step(multiplier(progress, recipe.warmup, recipe.decay))
            self.step += 1
        return bits

    def differentiate(self, text_S: Tensor, starts_N: Tensor | None, progress: float) -> float:
        """Give every parameter its gradient on this step's windows -> mean loss of the next byte in nats.

        Where that or the auxiliary loss is not finite, what comes back is not, and there is no gradient.
        """
        size = {"batch": self.recipe.batch, "context": self.recipe.context}
        inputs_BT, targets_BT = window_batch(text_S, seed=self.seed, step=self.step, **size)
        with watched(self.model.levels()) as penalties:
            if self.recipe.boundaries == NONE:
                layers, _ = self.model.trunk(inputs_BT)
                loss = functional.cross_entropy(self.model.logits(layers[-1]).flatten(0, 1), targets_BT.flatten())
                beside = self.beside(layers, progress)
            else:
                assert starts_N is not None, "boundaries need to know where documents start"
                at_BT = places(len(text_S), seed=self.seed, step=self.step, **size)[:, 1:]
                loss, beside = self.loss_apart(inputs_BT, targets_BT, opens(at_BT, starts_N)), None
        total = loss if beside is None else loss + beside
        total = total + torch.stack(penalties).mean() if penalties else total
        if not math.isfinite(total.item()):
            return loss.item() if not math.isfinite(loss.item()) else math.nan
        total.backward()  # type: ignore[no-untyped-call]
        return loss.item()

    def loss_apart(self, inputs_BT: Tensor, targets_BT: Tensor, opens_BT: Tensor) -> Tensor:
        """Mean loss of the next byte in nats where no document is read with another before it."""
        total = torch.zeros(())
        for inputs_NL, targets_NL in parts(inputs_BT, targets_BT, opens_BT):
            logits_XV = self.model(inputs_NL)[0].flatten(0, 1)
            total = total + functional.cross_entropy(logits_XV, targets_NL.flatten(), reduction="sum")
        return total / targets_BT.numel()

    def beside(self, layers: list[Tensor], progress: float) -> Tensor | None:
        """The weighted auxiliary loss at this point of the run. None where it has no weight: then it costs nothing."""
        auxiliary = self.model.auxiliary
        if auxiliary is None:
            return None
        for parameter in auxiliary.parameters():
            parameter.grad = torch.zeros_like(parameter)
        weight = auxiliary.weight(progress)
        if weight == 0:
            return None
        loss: Tensor
        loss, self.told = auxiliary(layers)
        return weight * loss

    def deepen(self, step: int) -> None:
        """Set how often the looped band runs, whether learned gates rule, and the stage of memory rules.

        As in the step after `step` done ones.
        """
        self.model.passes = self.model.band.passes(step, self.total_steps)
        if self.model.continuum is not None:
            for levels in self.model.levels():
                levels.always = self.model.continuum.always(self.seed, step, self.total_steps)
                levels.present = self.model.continuum.present(1 + len(levels.slower), step, self.total_steps)
        for memory in self.model.memories():
            memory.rule = memory.rule.in_stage((step + 0.5) / self.total_steps)

    def differentiate_inner(self, text_S: Tensor, kind: str) -> float:
        """The same through test-time training: the step's bytes are one text, read and adapted to in chunks."""
        assert self.adaptation is not None
        size = {"batch": 1, "context": self.recipe.step_bytes}
        inputs_1S, targets_1S = window_batch(text_S, seed=self.seed, step=self.step, **size)
        loss, gradients = self.adaptation.outer_gradients(inputs_1S, targets_1S, kind)
        if math.isfinite(loss):
            for name, parameter in self.model.named_parameters():
                parameter.grad = gradients[name]
        return loss

    def gradients_finite(self) -> bool:
        """Whether all gradients are finite: a sum is, only if its terms are, and is ten times faster to look at."""
        gradients = [parameter.grad for parameter in self.model.parameters() if parameter.grad is not None]
        values = [gradient._values() if gradient.is_sparse else gradient for gradient in gradients]
        return bool(torch.stack([value.sum() for value in values]).isfinite().all())

    def predict(self, ids_BT: Tensor) -> Tensor:
        """What the plain scorer asks for: log-probabilities [B, T, 256] of the byte after each id."""
        return functional.log_softmax(self.model(ids_BT)[0], dim=-1)

    def measure(self, text: bytes, documents: Sequence[int]) -> Score:
        """The score of the weights that the optimizer evaluates; they are as before afterwards.

        A recipe with test-time training adapts on the way, each document of these lengths for itself; with no inner
        step nothing can change, and the score is the plain one. Raises NotNormalised, SeesTheFuture, InvalidValue.
        """
        seed, learning = self.seed + self.step, self.adaptation
        with self.optimizer.evaluation_weights():
            if learning is None or learning.steps == 0:
                return score(self.predict, text, probe_seed=seed)
            return score_adaptive(learning.reader(), text, probe_seed=seed, documents=documents, reset=learning.resets)

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
        optimizer = self.optimizer.main if isinstance(self.optimizer, Leveled) else self.optimizer
        name = type(optimizer).__module__.rsplit(".", 1)[-1]
        options = {f"{name}.{key}": value for key, value in optimizer.echo().items()}
        used = {key: getattr(self.recipe, key) for key in ("batch", "context", "warmup", "decay", "boundaries")}
        learning = self.adaptation.echo() if self.adaptation else {"ttt": NONE}
        return recipe_from({**self.model.echo(), **used, **options, **learning, "optimizer": name})


def resumed(meta: Meta, tensors: Mapping[str, Tensor]) -> Run:
    """The run that a checkpoint holds. Raises CheckpointCorrupt, and what `recipe_from` raises."""
    run = Run(recipe_from(meta.recipe), meta.seed, meta.total_steps)
    restore(run.tensors(), tensors)
    run.step = meta.step
    run.deepen(max(0, run.step - 1))
    return run
