"""Matrix: what was measured of number formats against optimizers, as a table. Pure; no torch."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from kernels.formats import format_named
from training.format_fields import PLACES, PLAIN, FormatIsIdentity, own_switches
from training.recipe import NONE, Recipe, Scalar, recipe_from, told


class Result(Protocol):
    """What is known of one recipe in a race."""

    @property
    def recipe(self) -> str:
        """Its digest."""

    @property
    def bpbs(self) -> Sequence[float]:
        """Measured bits per byte at the end of its highest complete rung, one a seed; empty where none is complete."""

    @property
    def mean(self) -> float | None:
        """Their mean."""

    @property
    def sd(self) -> float | None:
        """Their standard deviation, n - 1."""

    @property
    def rung(self) -> int:
        """That rung, from 0."""

    @property
    def quantized(self) -> Mapping[str, Any] | None:
        """What rounding did, place by place."""

    @property
    def lost(self) -> str | None:
        """Why it cannot complete its rung; None where it has or can."""


@dataclass(frozen=True, kw_only=True)
class MatrixCell:
    """One recipe of a matrix.

    state: measured; identity, where nothing is rounded or a format changed nothing, which is no measurement of it;
    lost, and `note` says why; open, still to be run. values: one a seed. share, zero: of the values that are rounded,
    those changed and those that became zero. equal_to: rows of the same column with the same values to the last bit.
    """

    recipe: str
    state: str
    mean: float | None = None
    sd: float | None = None
    n: int = 0
    rung: int = 0
    values: tuple[float, ...] = ()
    share: float | None = None
    zero: float | None = None
    note: str = ""
    equal_to: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class MatrixRow:
    """A format with its switches. phi_distance: |E/M - 1/phi| of its layout, None where it has none. cells: by column.

    A cell that no recipe of the race stands in is None: a hole.
    """

    label: str
    format: str
    bits: float
    phi_distance: float | None
    cells: list[MatrixCell | None]


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """Rows are formats, columns optimizers; lower bits per byte are better. shared: what all recipes have in common."""

    columns: list[str]
    rows: list[MatrixRow]
    shared: str


def matrix_of(results: Sequence[tuple[Recipe, Result]]) -> Matrix:
    """The table of a race: rows differ in formats and all else but the optimizer, columns in the optimizer.

    fp32 comes first, then formats by falling bits.
    """
    fields = [recipe.as_json() for recipe, _ in results]
    differing = {key for one in fields for key in one if any(other.get(key) != one[key] for other in fields)}
    rows: dict[str, MatrixRow] = {}
    places: dict[str, dict[str, MatrixCell]] = {}
    columns: dict[str, None] = {}
    for recipe, result in results:
        label, column = row_label(recipe, differing), column_label(recipe)
        one = format_named(formats_of(recipe)[0])
        rows[label] = MatrixRow(label=label, format=one.id, bits=one.bits, phi_distance=one.phi_distance, cells=[])
        places.setdefault(label, {})[column] = cell_of(recipe, result)
        columns[column] = None
    marked = {label: {column: twinned(label, column, places) for column in places[label]} for label in places}
    order = sorted(rows, key=lambda label: (rows[label].format != PLAIN, -rows[label].bits, label))
    table = [replace(rows[label], cells=[marked[label].get(column) for column in columns]) for label in order]
    return Matrix(columns=list(columns), rows=table, shared=shared_label(fields, differing))


def formats_of(recipe: Recipe) -> list[str]:
    """Formats other than fp32 in the order of PLACES, or fp32 alone."""
    return [name for place in PLACES if (name := str(getattr(recipe, place))) != PLAIN] or [PLAIN]


def row_label(recipe: Recipe, differing: Collection[str]) -> str:
    """`fp8_e4m3 scaling=pow2`: the format of the weights by its name, other places and fields with theirs."""
    parts = []
    for place in PLACES:
        name = str(getattr(recipe, place))
        if name == PLAIN:
            continue
        own, front = own_switches(place, format_named(name)), "" if place == "weights" else f"{place}."
        parts.append(name if place == "weights" else f"{place}={name}")
        chosen = {key: value for key, value in recipe.option(place).items() if value != own.get(key, "master")}
        parts += [f"{front}{key}={value}" for key, value in chosen.items()]
    theirs = (*PLACES, "optimizer", recipe.optimizer)
    others = {key: value for key, value in recipe.as_json().items() if key.split(".")[0] not in theirs}
    parts = parts or [PLAIN]
    return " ".join([*parts, *(told(key, value) for key, value in others.items() if key in differing)])


def column_label(recipe: Recipe) -> str:
    """The optimizer, with the options that are not its defaults."""
    usual = recipe_from({"optimizer": recipe.optimizer}).option(recipe.optimizer, "optimizer")
    own = recipe.option(recipe.optimizer, "optimizer")
    return " ".join([recipe.optimizer, *(told(key, value) for key, value in own.items() if value != usual[key])])


def shared_label(fields: Sequence[Mapping[str, Scalar]], differing: Collection[str]) -> str:
    """What all recipes have in common and the default recipe has not; options of plug-ins are left out."""
    usual = recipe_from({}).as_json()
    same = {key: value for key, value in (fields[0] if fields else {}).items() if key not in differing}
    return " ".join(
        told(key, value) for key, value in same.items() if "." not in key and value not in (usual.get(key), NONE)
    )


def cell_of(recipe: Recipe, result: Result) -> MatrixCell:
    """One recipe's cell."""
    if result.mean is None:
        unchanged = (result.lost or "").startswith(FormatIsIdentity.code)
        state = "identity" if unchanged else "lost" if result.lost else "open"
        return MatrixCell(recipe=result.recipe, state=state, note=result.lost or "")
    places = [one for place, one in (result.quantized or {}).items() if getattr(recipe, place) != PLAIN]
    changed, vanished = (
        min((float(one[key]) for one in places if key in one), default=None) for key in ("share", "zero")
    )
    return MatrixCell(
        recipe=result.recipe,
        state="identity" if formats_of(recipe) == [PLAIN] else "measured",
        mean=result.mean,
        sd=result.sd,
        n=len(result.bpbs),
        rung=result.rung,
        values=tuple(result.bpbs),
        share=changed,
        zero=vanished,
    )


def twinned(label: str, column: str, places: Mapping[str, Mapping[str, MatrixCell]]) -> MatrixCell:
    """The cell, with the rows of its column that have the same numbers to the last bit."""
    own = places[label][column]
    others = {row: cells[column] for row, cells in places.items() if row != label and column in cells}
    equal = [row for row, cell in others.items() if own.values and cell.values == own.values]
    return replace(own, equal_to=sorted(equal))
