"""The recipes that `igla race` runs when none are given, and grids that have a name."""

from collections.abc import Mapping, Sequence
from typing import Final

from training.phi import ladder
from training.recipe import Scalar

ATTENTION: Final[Mapping[str, Scalar]] = {"composition": "attention", "rule": "none"}

DEFAULT_RECIPES: Final[list[Mapping[str, Scalar]]] = [
    {},
    {"rule": "titans"},
    {"rule": "hebbian"},
    {"composition": "mal"},
    ATTENTION,
    {**ATTENTION, "optimizer": "adamw"},
    {**ATTENTION, "blocks": 2},
    {**ATTENTION, "ngram": 0},
    {**ATTENTION, "ngram_buckets": 32768},
]
"""Three memory rules and two compositions against attention alone, Muon against AdamW, depth, and hashed n-grams."""

GRIDS: Final[Mapping[str, Mapping[str, Sequence[Scalar]]]] = {
    "phi_ladder": {"optimizer": ["adamw_phi"], "adamw_phi.lr": ladder(6)},
}
"""Name -> a plan's grid. phi_ladder: six learning rates from 0.004 down, each the root of phi below the one before."""

MATRICES: Final[Mapping[str, Sequence[str]]] = {
    "tour": (
        "fp16", "bf16", "gf16", "posit16", "fp8_e4m3", "gf8", "posit8", "lns8", "int8", "nf4", "mxfp4", "fp4_e2m1",
        "gfternary",
    ),
}  # fmt: skip
"""Name -> formats of a matrix. tour: the kinds of formats at 16, 8 and 4 bits."""
