"""The recipes that `igla race` runs when none are given."""

from collections.abc import Mapping
from typing import Final

from training.recipe import Scalar

ATTENTION: Final[Mapping[str, Scalar]] = {"composition": "attention", "rule": "none"}

DEFAULT_RECIPES: Final[list[Mapping[str, Scalar]]] = [
    {},
    {"optimizer": "adamw"},
    ATTENTION,
    {**ATTENTION, "optimizer": "adamw"},
    {**ATTENTION, "width": 96},
    {**ATTENTION, "blocks": 2},
    {**ATTENTION, "ngram": 3},
    {**ATTENTION, "ngram": 0},
    {**ATTENTION, "ngram_buckets": 32768},
]
"""Memory against attention alone, Muon against AdamW, width, depth, and what hashed n-grams are worth."""
