"""Serving: a checkpoint's model with fixed weights, and the sessions that are opened on it."""

import copy
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import torch
from torch import Tensor
from torch.nn import functional

from errors import Refusal
from training.checkpoint import unpack
from training.memory import SEGMENT, Memory
from training.model import ByteModel
from training.ngrams import BEGIN
from training.recipe import NONE
from training.run import resumed
from training.session_state import Place, kept, mapped

PART = 2048
"""Ids that the model reads at once; longer texts are read in parts, so that the memory needed does not grow."""


class SessionUnsupported(Refusal):
    """Serve a recipe with ttt none, or ask for `still`: then the weights stay as trained."""

    code = "session_unsupported"
    status = 422


@dataclass(frozen=True, kw_only=True)
class Served:
    """A model whose weights are fixed, by the digest of its checkpoint. It may serve many sessions.

    still: the recipe adapts weights to the text that is scored, and here it does not.
    """

    model: ByteModel
    checkpoint: str
    still: bool = False
    clock: Callable[[], float] = perf_counter

    @property
    def grid(self) -> int:
        """Ids from one commit point to the next."""
        parts = (part for part in self.model.modules() if isinstance(part, Memory))
        return SEGMENT if any(part.rule.about.get("aligned") for part in parts) else 1

    def opening(self) -> Place:
        """Before the first byte of a text."""
        nothing = torch.empty(0, dtype=torch.int64)
        return self.read(Place(None, nothing, torch.empty(0)), torch.tensor([BEGIN]))[0]

    def read(self, place: Place, ids_T: Tensor) -> tuple[Place, Tensor]:
        """Read at least one id -> (the place behind, log-probabilities [T, 256] of the byte after each)."""
        rows = []
        for part in torch.split(ids_T, PART):
            place, row = self.read_part(place, part)
            rows.append(row)
        return place, torch.cat(rows)

    @torch.inference_mode()
    def read_part(self, place: Place, ids_T: Tensor) -> tuple[Place, Tensor]:
        """`read` in one call of the model, two where a commit point lies between."""
        ids_S, carried, logits = torch.cat([place.pending, ids_T]), place.carried, []
        whole = len(ids_S) // self.grid * self.grid
        if whole:
            read_BTV, after = self.model(ids_S[None, :whole], carried)
            carried = mapped(after, "carried", lambda _, tensor: kept(tensor))
            logits.append(read_BTV[0])
        if whole < len(ids_S):
            logits.append(self.model(ids_S[None, whole:], carried)[0][0])
        logp_TV = functional.log_softmax(torch.cat(logits)[len(place.pending) :], dim=-1)
        return Place(carried, kept(ids_S[whole:]), kept(logp_TV[-1])), logp_TV

    def template(self) -> Place:
        """A place after a commit point."""
        opening = torch.full((self.grid,), BEGIN)
        return self.read(Place(None, opening[:0], torch.empty(0)), opening)[0]


def served(data: bytes, *, still: bool = False) -> Served:
    """The model in a checkpoint file, with the weights that its optimizer evaluates.

    Raises CheckpointCorrupt, SessionUnsupported (unless `still`), and what `recipe_from` raises.
    """
    meta, tensors = unpack(data)
    run = resumed(meta, tensors)
    if run.recipe.ttt != NONE and not still:
        raise SessionUnsupported(f"The recipe adapts its weights to what it reads, by {run.recipe.ttt}.")
    with run.optimizer.evaluation_weights():
        model = copy.deepcopy(run.model)
    for parameter in model.parameters():
        parameter.grad = None
    return Served(model=model.requires_grad_(False), checkpoint=hashlib.sha256(data).hexdigest(), still=still)
