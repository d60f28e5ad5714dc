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

    def opening(self) -> Place:
        """Before the first byte of a text."""
        return self.read(None, torch.tensor([BEGIN]))[0]

    def read(self, place: Place | None, ids_T: Tensor) -> tuple[Place, Tensor]:
        """Read at least one id; None: at the start -> (the place behind, log-probabilities [T, 256] after each id)."""
        rows = []
        for part in torch.split(ids_T, PART):
            place, row = self.read_part(place, part)
            rows.append(row)
        assert place is not None
        return place, torch.cat(rows)

    @torch.inference_mode()
    def read_part(self, place: Place | None, ids_T: Tensor) -> tuple[Place, Tensor]:
        """`read` in one call of the model."""
        logits, after = self.model(ids_T[None], None if place is None else place.carried)
        logp_TV = functional.log_softmax(logits[0], dim=-1)
        return Place(mapped(after, "carried", lambda _, tensor: kept(tensor)), kept(logp_TV[-1])), logp_TV


def served(data: bytes, *, still: bool = False) -> Served:
    """The model in a checkpoint file, with the weights that its optimizer evaluates.

    Raises CheckpointCorrupt, SessionUnsupported (unless `still`), and what `recipe_from` raises.
    """
    meta, tensors = unpack(data)
    run = resumed(meta, tensors)
    if run.recipe.ttt != NONE and not still:
        raise SessionUnsupported(f"The recipe adapts its weights to what it reads, by {run.recipe.ttt}.")
    with run.evaluation_weights():
        model = copy.deepcopy(run.model)
    for parameter in model.parameters():
        parameter.grad = None
    return Served(model=model.requires_grad_(False), checkpoint=hashlib.sha256(data).hexdigest(), still=still)
