"""The recipes that `igla race` runs when none are given."""

from collections.abc import Mapping
from typing import Final

from training.recipe import Scalar

DEFAULT_RECIPES: Final[list[Mapping[str, Scalar]]] = [
    {},
    {"optimizer": "adamw"},
    {"composition": "attention", "rule": "none"},
]
"""Nine recipes that differ in one or two fields each."""
