"""Format fields: the numbers that a recipe's weights, activations and gradients are rounded to. Imports no torch.

Each is a field of the recipe that names a format of `kernels.formats`, with the switches as its options:
`{"weights": "fp8_e4m3", "weights.scaling": "pow2"}`. `fp32`, the default, rounds nothing and has no options.
"""

from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final

from errors import ImpossibleCombination, Refusal, shown
from kernels.formats import SWITCHES, Format, Switches, format_named, formats
from plugins import About, Plugins

PLAIN: Final = "fp32"
"""The format that changes nothing: models are held and computed in it."""

OWN: Final = "format"
"""The value of a switch that leaves it to the format, as leaving the option out does."""

PLACES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "weights": "number format of matrices, embedding and n-gram tables",
        "activations": "number format of what linear maps read",
        "gradients": "number format of the gradients that the optimizer is given",
    }
)
"""The fields, and what each of them rounds."""

HELP: Final[Mapping[str, str]] = MappingProxyType(
    {
        "rounding": "how a value between two neighbours is rounded; native: as the original hardware did",
        "overflow": "what lies beyond the largest value becomes: that value, or infinity",
        "underflow": "what lies below the smallest normal value becomes: the nearest, zero, or never zero",
        "scaling": "by what values are divided before rounding, and multiplied after",
    }
)
"""Meaning of the switches of `kernels.formats`."""

STORAGE: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "default": "master",
        "choices": ["master", "stored", "wide"],
        "help": "master: float32 weights, rounded for every use; stored: rounded after every step, nothing else kept; "
        "wide: weights and optimizer in the format, finer than float32, and matrix products in float32",
    }
)

WIDE: Final = ("C", "D")
"""Precision classes of formats that are finer than float64: rounding to them changes no float32 value."""

ACROSS: Final = ("pow2", "amax")
"""Scalings that look at a whole tensor: of activations, at bytes that are yet to be predicted."""

FINE: Final = ("B", *WIDE)
"""Those that have values between two float32; only these are worth holding wide."""

WIDE_KINDS: Final = ("floating", "hexadecimal", "posit", "expansion")
"""Kinds whose values can be held as sums of float64: their quantum follows from the exponent alone."""

TWO_LEVELS: Final = "two_level"
"""The `scale` of block formats that have a scale for the whole tensor beside."""


class FormatIsIdentity(Refusal):
    """Name a format that is coarser than float32 for these values: this one changed none of them."""

    code = "format_is_identity"
    status = 422


class FormatChoices(Plugins):
    """The formats as the choices of one field. A header's `defaults` are the format's own switches."""

    def __init__(self, place: str) -> None:
        super().__init__("kernels.formats", "number format")
        self.place = place

    @cached_property
    def abouts(self) -> dict[str, About]:
        """id -> what a recipe must know of the format."""
        return {name: header(self.place, one) for name, one in sorted(formats.items())}

    @cached_property
    def shared(self) -> About:
        """The switches; of weights, also how they are stored."""
        switches = {
            name: {"default": OWN, "choices": [OWN, *SWITCHES[name]], "help": help_} for name, help_ in HELP.items()
        }
        return {**switches, "storage": dict(STORAGE)} if self.place == "weights" else switches

    def about(self, name: str) -> About:
        """The header of a format, by its id or an alias. An unknown name is refused with the nearest known one."""
        return self.abouts[format_named(name).id]

    def __getitem__(self, name: str) -> Format:
        return format_named(name)


def header(place: str, one: Format) -> About:
    """What a recipe must know of a format at a place."""
    return {"help": f"{one.bits:g} bits, {one.family}", "defaults": own_switches(place, one)}


def own_switches(place: str, one: Format) -> dict[str, str]:
    """The switches that a format has at a place where a recipe says nothing.

    Activations are scaled by the row, which is one byte's, where the format would look at a whole tensor.
    """
    own = {name: str(getattr(one.defaults, name)) for name in SWITCHES}
    if place == "weights":
        own["storage"] = "wide" if one.precision_class in WIDE else str(STORAGE["default"])
    if place == "activations" and own["scaling"] in ACROSS and "row" in one.admits["scaling"]:
        own["scaling"] = "row"
    return own


def canonical_names(given: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe with formats under their ids, without switches that are left to the format. Raises UnknownName."""
    named = {
        key: format_named(value).id if key in PLACES and isinstance(value, str) else value
        for key, value in given.items()
    }
    return {key: value for key, value in named.items() if not (value == OWN and is_switch(key))}


def is_switch(key: str) -> bool:
    """Whether an option is a switch of a format field."""
    place, _, switch = key.partition(".")
    return place in PLACES and switch in SWITCHES


def refuse_formats(recipe: Mapping[str, Any], none: str) -> None:
    """Raise ImpossibleCombination where a format, a switch of it or what stands beside it does not fit.

    recipe: its complete flat form. none: the value of a field without a plug-in.
    """
    for place, name in ((place, str(recipe[place])) for place in PLACES):
        if name == PLAIN:
            continue
        one = format_named(name)
        storage = recipe.get(f"{place}.storage")
        if one.precision_class in WIDE and storage != "wide":
            raise ImpossibleCombination(
                f"{place} {name} is of class {one.precision_class}: rounding to it changes no float32 value. "
                "Only weights can be held wider, with weights.storage wide."
            )
        if recipe["ttt"] != none:
            raise ImpossibleCombination(
                f"{place} {name} does not combine with ttt {recipe['ttt']}, which learns in float32."
            )
        chosen = {switch: str(recipe[f"{place}.{switch}"]) for switch in SWITCHES}
        refuse_switches(place, one, chosen)
        if place == "activations":
            refuse_sight(one, chosen)
        if storage == "wide":
            refuse_wide(one, chosen)
            refuse_beside_wide(recipe, none)


def refuse_switches(place: str, one: Format, chosen: Mapping[str, str]) -> None:
    """Raise ImpossibleCombination for a switch that a format does not admit."""
    for switch, value in chosen.items():
        if value not in one.admits[switch]:
            raise ImpossibleCombination(
                f"{place} {one.id} does not take {place}.{switch} {shown(value)}; "
                f"it takes: {', '.join(one.admits[switch])}."
            )


def refuse_wide(one: Format, chosen: Mapping[str, str]) -> None:
    """Raise ImpossibleCombination for weights that are not held wide."""
    if one.precision_class not in FINE:
        raise ImpossibleCombination(f"weights {one.id} fit in float32; weights.storage wide is for finer formats.")
    if one.kind not in WIDE_KINDS:
        raise ImpossibleCombination(
            f"weights {one.id} are not held wide: only formats of the kinds {', '.join(WIDE_KINDS)} are."
        )
    if (chosen["rounding"], chosen["scaling"]) != ("rne", "none"):
        raise ImpossibleCombination("Wide weights are rounded to nearest, ties to even, and not scaled.")


def refuse_beside_wide(recipe: Mapping[str, Any], none: str) -> None:
    """Raise ImpossibleCombination for what would have to see the weights at their width."""
    if recipe["cms"] != none:
        raise ImpossibleCombination(f"weights.storage wide does not combine with cms {recipe['cms']}.")
    decay = f"{recipe['optimizer']}.weight_decay"
    if recipe.get(decay):
        raise ImpossibleCombination(
            f"weights.storage wide does not combine with {decay} {recipe[decay]}: the optimizer moves wide weights by "
            "their gradients alone."
        )


def looks_across(one: Format, scaling: str) -> bool:
    """Whether what becomes of a row depends on other rows of its tensor."""
    return scaling in ACROSS or (scaling == "block" and one.parameters.get("scale") == TWO_LEVELS)


def refuse_sight(one: Format, chosen: Mapping[str, str]) -> None:
    """Raise ImpossibleCombination for activations that would see later bytes, or be drawn."""
    if looks_across(one, chosen["scaling"]):
        raise ImpossibleCombination(
            f"activations {one.id} with activations.scaling {chosen['scaling']} would let a byte's prediction depend "
            "on later bytes: its scale looks at a whole tensor."
        )
    if chosen["rounding"] == "sr":
        raise ImpossibleCombination(
            f"activations {one.id} with activations.rounding sr would make a prediction depend on chance."
        )


def switches_of(options: Mapping[str, Any]) -> Switches:
    """The switches among a place's options, prefix removed."""
    return Switches(**{name: str(options[name]) for name in SWITCHES})
