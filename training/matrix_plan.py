"""Matrix plans: number formats x optimizers as recipes. Pure; no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from errors import InvalidValue, shown
from kernels.formats import format_named
from training.format_fields import PLACES, PLAIN
from training.recipe import Scalar

NARROW_BITS = 12
"""Formats of so many bits or fewer are tried unscaled and scaled by a power of two: unscaled, small values vanish."""


@dataclass(frozen=True, kw_only=True)
class MatrixPlan:
    """Formats x optimizers. fp32 is always among the formats: what the others are read against. place: see `PLACES`."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    formats: Sequence[str]
    optimizers: Sequence[str] = ("adamw", "muon")
    place: str = "weights"


def matrix_recipes(plan: MatrixPlan) -> list[dict[str, Scalar]]:
    """Recipe fields of every cell, format by format. Raises UnknownName for a format, InvalidValue for a place."""
    if plan.place not in PLACES:
        raise InvalidValue(f"place must be one of {', '.join(PLACES)}, got {shown(plan.place)}.")
    if not plan.formats or not plan.optimizers:
        raise InvalidValue("A matrix has at least one format and one optimizer.")
    names = dict.fromkeys([PLAIN, *(format_named(name).id for name in plan.formats)])
    rows = [row for name in names for row in variants(plan.place, name)]
    return [{"optimizer": optimizer, **row} for row in rows for optimizer in dict.fromkeys(plan.optimizers)]


def variants(place: str, name: str) -> list[dict[str, Scalar]]:
    """The ways in which one format is tried: a narrow one in both scalings, unless it has another of its own."""
    one = format_named(name)
    both = [value for value in ("none", "pow2") if value in one.admits["scaling"]]
    if place == "activations" or one.defaults.scaling not in both or one.bits > NARROW_BITS or len(both) < 2:
        return [{place: name}]
    return [{place: name, f"{place}.scaling": value} for value in both]
