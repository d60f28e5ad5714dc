"""Audit: what a checkpoint from outside shows of the formats that its recipe names.

Of masters, the share that rounding changes is taken anew, and so it is of activations, on the first bytes of the text.
Of stored and wide weights, that they are values of the format; what was changed on their way there is not in a
checkpoint, and neither are gradients: these two are not proven.
"""

from collections.abc import Mapping

import torch

from errors import Refusal
from training.change import Change, Figures
from training.format_fields import FormatIsIdentity
from training.quantized import Weights, identity
from training.run import Run
from training.wide_weights import WideWeights
from training.windows import as_tensor

BYTES = 1024
"""Of the text that activations are taken on."""

ULPS = 2.0**-20
"""Relative difference of a value from itself rounded again, at most: a scale that is no power of two may round too."""

BESIDE = 2.0**-9
"""Relative distance from stored weights at which a format that rounds anything must change something."""


class WeightsNotInFormat(Refusal):
    """Upload the checkpoint of the recipe's own run: these weights are no values of the format that it stores."""

    code = "weights_not_in_format"
    status = 422


@torch.no_grad()
def audit(run: Run, text: bytes) -> Mapping[str, Figures]:
    """Place -> what rounding does there, so far as a checkpoint shows. Raises WeightsNotInFormat, FormatIsIdentity."""
    found: dict[str, Figures] = {}
    with run.quantized.watched(found), run.evaluation_weights():
        run.predict(as_tensor(text[:BYTES])[None].long())
    weights = run.quantized.weights
    if isinstance(weights, WideWeights):
        found["weights"] = wide_figures(weights)
    elif weights is not None and weights.stored:
        found["weights"] = stored_figures(weights, run.step)
    if (told := identity(found)) is not None:
        raise FormatIsIdentity(told)
    return found


def stored_figures(weights: Weights, step: int) -> Figures:
    """How many stored weights there are, and distinct ones. Raises as `audit`."""
    applied, kept, beside = weights.applied, Change(), Change()
    for name, weight in weights.named.items():
        again = applied(weight.data, step)
        if bool(((again - weight.data).abs() > ULPS * weight.data.abs()).any()):
            raise WeightsNotInFormat(f"{name} holds values that {applied.format.id} does not have.")
        near = weight.data * (1 + BESIDE)
        kept += applied.change(weight.data, weight.data)
        beside += applied.change(near, applied(near, step))
    if (told := identity({"weights": beside.figures(applied.format.id)})) is not None:
        raise FormatIsIdentity(told)
    figures = kept.figures(applied.format.id)
    return {key: figures[key] for key in ("format", "values", "distinct")}


def wide_figures(weights: WideWeights) -> Figures:
    """What `training.wide_weights.beyond` counts, over all masters. Raises WeightsNotInFormat."""
    kept, wrong = weights.audit()
    if wrong is not None:
        raise WeightsNotInFormat(f"{wrong} holds values that {weights.applied.format.id} does not have.")
    return kept.figures(weights.applied.format.id)
