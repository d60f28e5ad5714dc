"""Number formats as data: one plug-in file a family, one row a format. Nothing here imports torch.

A family's `about` holds `kind` (the code that computes it, `kernels.kinds`), `source`, `formats` (id -> row) and
`aliases` (other spelling -> id); `admits` and `defaults` of the family hold for each of its rows, which may give their
own. A row says `bits` (stored, a value), `class` (see `Format`) and what the code of its kind reads. `E` and `M` are
stored exponent and fraction bits; `fields` gives them where the code's E and M are not those of the layout.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

from errors import ImpossibleCombination, shown, unknown
from plugins import About, Plugins

Parameter = int | float | str | tuple[Any, ...]

SWITCHES: Mapping[str, tuple[str, ...]] = {
    "rounding": ("rne", "rna", "rtz", "sr", "native"),
    "overflow": ("sat", "ieee"),
    "underflow": ("grad", "ftz", "keep"),
    "scaling": ("none", "pow2", "amax", "row", "block"),
}
"""What a format leaves open.

rounding: to nearest with ties to even, ties away from zero, toward zero, stochastic, or as the original hardware did.
overflow: to the largest finite value, or to infinity (NaN where the format has no infinity).
underflow: to the nearest value (gradually where there are subnormals); below the smallest normal value to zero, tested
before rounding; or never to zero. scaling: of the whole tensor by a power of two or by its largest magnitude, of rows,
of blocks.
"""

FIELDS = ("bits", "class", "kind", "block", "admits", "defaults", "fields")
"""Keys of a row that are the same for every kind; the others are its parameters."""


@dataclass(frozen=True, kw_only=True)
class Switches:
    """One value of each switch; see `SWITCHES`."""

    rounding: str = "rne"
    overflow: str = "sat"
    underflow: str = "grad"
    scaling: str = "none"


@dataclass(frozen=True, kw_only=True)
class Format:
    """A set of values and how numbers come to it.

    bits: storage of a value, its share of block scales included. precision_class: A is coarser than float32 and inside
    its range, A' coarser with a wider range, I32 the identity on float32 up to range, B 25 to 53 significant bits,
    C up to 106, D more. admits: the values of each switch that it takes. block: values under one scale, or None.
    """

    id: str
    family: str
    kind: str
    bits: float
    precision_class: str
    parameters: Mapping[str, Parameter] = field(hash=False)
    exponent_bits: int | None
    fraction_bits: int | None
    defaults: Switches
    admits: Mapping[str, tuple[str, ...]] = field(hash=False)
    block: int | None

    @property
    def phi_distance(self) -> float | None:
        """|E/M - 1/phi| of the stored exponent and fraction bits; None where a format has no such fields."""
        if self.exponent_bits is None or not self.fraction_bits:
            return None
        return abs(self.exponent_bits / self.fraction_bits - 2 / (1 + 5**0.5))

    def switches(self, **chosen: str | None) -> Switches:
        """The switches of one use: None means the format's default. What it does not admit is refused by name."""
        for switch, value in chosen.items():
            if value is not None and value not in SWITCHES[switch]:
                raise unknown(switch, value, SWITCHES[switch])
            if value is not None and value not in self.admits[switch]:
                taken = ", ".join(self.admits[switch])
                raise ImpossibleCombination(f"{self.id} does not take {switch} {shown(value)}, only {taken}.")
        return Switches(**{switch: chosen.get(switch) or getattr(self.defaults, switch) for switch in SWITCHES})


class Family:
    """The formats of one plug-in file, made from its header. name: the file's."""

    def __init__(self, name: str, about: About) -> None:
        self.name, self.about = name, about

    @cached_property
    def formats(self) -> Mapping[str, Format]:
        """id -> format of every row."""
        return {id: self.format(id, row) for id, row in self.about["formats"].items()}

    def format(self, id: str, row: Mapping[str, Any]) -> Format:
        """The format of one row."""
        kind = row.get("kind", self.about["kind"])
        defaults = Switches(**{**self.about.get("defaults", {}), **row.get("defaults", {})})
        given = {**self.about.get("admits", {}), **row.get("admits", {})}
        admits = {switch: tuple(given.get(switch, (getattr(defaults, switch),))) for switch in SWITCHES}
        if "native" in row:
            admits["rounding"] = (*admits["rounding"], "native")
        for switch, values in admits.items():
            assert getattr(defaults, switch) in values, f"{id}: the default of {switch} is not admitted"
            assert set(values) <= set(SWITCHES[switch]), f"{id}: {switch} has no such value"
        exponent_bits, fraction_bits = row.get("fields", (row.get("E"), row.get("M")))
        return Format(
            id=id,
            family=self.name,
            kind=kind,
            bits=row["bits"],
            precision_class=row["class"],
            parameters=MappingProxyType({key: value for key, value in row.items() if key not in FIELDS}),
            exponent_bits=exponent_bits,
            fraction_bits=fraction_bits,
            defaults=defaults,
            admits=MappingProxyType(admits),
            block=row.get("block"),
        )


families = Plugins("kernels.formats", "format family")


class Catalogue(Mapping[str, Format]):
    """Every format by its id."""

    @cached_property
    def rows(self) -> dict[str, Format]:
        """id -> format, families in alphabetical order."""
        found: dict[str, Format] = {}
        for family in families.values():
            assert not found.keys() & family.formats.keys(), f"{family.name}: an id of another family"
            found |= family.formats
        return found

    @cached_property
    def aliases(self) -> dict[str, str]:
        """Other spelling -> id."""
        pairs = [pair for about in families.abouts.values() for pair in about.get("aliases", {}).items()]
        found = dict(pairs)
        assert len(found) == len(pairs) and not found.keys() & self.rows.keys(), "an alias means two things"
        assert set(found.values()) <= self.rows.keys(), "an alias of no format"
        return found

    def __getitem__(self, id: str) -> Format:
        return self.rows[id]

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


formats = Catalogue()


def format_named(name: str) -> Format:
    """The format of an id or alias, spelt exactly so. Any other name is refused with the nearest known one."""
    id = formats.aliases.get(name, name)
    if id not in formats:
        raise unknown("number format", name, {*formats, *formats.aliases})
    return formats[id]
