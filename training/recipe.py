"""Recipe: all that decides a run's numbers, except its seed and its budget. Imports no torch.

A recipe is written as a flat JSON object. Its fields are those of `Recipe` plus the options of the plug-ins it chooses,
spelt `plugin.option`: `{"optimizer": "muon", "muon.lr": 0.02}`; options that all plug-ins of a kind have are spelt
`kind.option`. Whatever is left out takes its default, so `{}` is the
default recipe. The digest is taken over the complete form: two spellings of one recipe are one recipe.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

from errors import ImpossibleCombination, InvalidValue, shown, unknown
from plugins import About, Plugins

Scalar = bool | int | float | str

CHOICES: Mapping[str, Plugins] = MappingProxyType(
    {
        "adapter": Plugins("training.adapters"),
        "auxiliary": Plugins("training.auxiliary"),
        "bias": Plugins("training.biases"),
        "cms": Plugins("training.cms", "cms"),
        "composition": Plugins("training.compositions"),
        "optimizer": Plugins("training.optimizers"),
        "retention": Plugins("training.retentions"),
        "rule": Plugins("training.rules"),
        "ttt": Plugins("training.ttt"),
    }
)
"""Fields whose value names a plug-in, with the folder that holds them."""

NONE = "none"
"""The value of a field in a recipe without a plug-in of that kind."""

OPTIONAL: Mapping[str, str] = MappingProxyType(
    {
        "adapter": "no adapter",
        "auxiliary": "the next byte is all that training asks for",
        "cms": "one MLP a block, updated at every step",
        "bias": "the rule's own",
        "retention": "the rule's own",
        "rule": "no memory",
        "ttt": "the weights stay as trained while a text is scored",
    }
)
"""Fields that may be `none`, and what that means."""


def number(default: float, low: float, high: float, help_: str, *, later: bool = False) -> Any:
    """A field with its default, closed range and meaning. later: see `Recipe.canonical`."""
    return field(default=default, metadata={"min": low, "max": high, "help": help_, "later": later})


def choice(default: str, help_: str, *, later: bool = False) -> Any:
    """A field that names a plug-in. later: see `Recipe.canonical`."""
    return field(default=default, metadata={"help": help_, "later": later})


def word(default: str, choices: list[str], help_: str, *, later: bool = False) -> Any:
    """A field with a few values that are no plug-ins. later: see `Recipe.canonical`."""
    return field(default=default, metadata={"choices": choices, "help": help_, "later": later})


STRATEGIES = ["segment", "step", "scan"]
"""How a memory rule is computed; the first two are open to every rule, and the first is the default."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A checked recipe. Build it with `recipe_from`; `options` holds the options of its plug-ins, defaults included."""

    width: int = number(64, 16, 2048, "model width d; a multiple of 2 * heads")
    blocks: int = number(1, 1, 64, "number of blocks")
    heads: int = number(2, 1, 64, "heads of attention and of memory")
    window: int = number(64, 1, 8192, "bytes that attention sees, itself included")
    mlp_ratio: int = number(3, 1, 16, "hidden width of the MLP over d")
    ngram: int = number(5, 0, 8, "longest hashed n-gram that is embedded; 0 or 1 for none")
    ngram_buckets: int = number(16384, 16, 4194304, "rows of each n-gram order's table")
    softcap: float = number(15.0, 1.0, 1000.0, "logits are softcap * tanh(z / softcap)")
    context: int = number(128, 8, 65536, "bytes in a training window")
    batch: int = number(8, 1, 4096, "windows in an optimizer step")
    warmup: float = number(0.02, 0.0, 1.0, "fraction of the budget with rising learning rate")
    decay: float = number(0.6, 0.0, 1.0, "fraction of the budget, at its end, with falling learning rate")
    loops: int = number(1, 1, 16, "times that a band of blocks runs, with the same weights", later=True)
    loop_first: int = number(1, 1, 64, "first block of the band, counted from 1", later=True)
    loop_last: int = number(0, 0, 64, "last block of the band; 0 for the last of all", later=True)
    loop_start: float = number(0.0, 0.0, 1.0, "fraction of the budget before the band runs more than once", later=True)
    composition: str = choice("mag", "how attention and memory are put together in a block")
    rule: str = choice("delta", "memory rule; none for a block without memory")
    optimizer: str = choice("muon", "optimizer")
    adapter: str = choice(NONE, "map of the states after blocks or before the head", later=True)
    auxiliary: str = choice(NONE, "auxiliary loss beside the next byte's, in training only", later=True)
    ttt: str = choice(NONE, "test-time training: how the model goes on learning from bytes once scored", later=True)
    cms: str = choice(NONE, "continuum memory system: the MLP of a block as levels with paces of their own", later=True)
    bias: str = choice(NONE, "what the memory minimises at each token; none for the rule's own", later=True)
    retention: str = choice(NONE, "how the memory keeps its weights; none for the rule's own", later=True)
    strategy: str = word(
        STRATEGIES[0],
        STRATEGIES,
        "how the memory rule is computed: segments at once, token by token, or a scan over segments",
        later=True,
    )
    boundaries: str = word(
        NONE,
        [NONE, "reset"],
        "where a document ends within a training window: read on, or start the next with nothing before it",
        later=True,
    )
    options: Mapping[str, Scalar] = field(default_factory=dict)

    def option(self, plugin: str, kind: str | None = None) -> dict[str, Scalar]:
        """The options under one prefix, without it; with `kind`, those of the plug-in of that kind and name alone."""
        start, own = plugin + ".", CHOICES[kind].about(plugin).get("fields", {}) if kind else None
        found = {key[len(start) :]: value for key, value in self.options.items() if key.startswith(start)}
        return found if own is None else {key: value for key, value in found.items() if key in own}

    def as_json(self) -> dict[str, Scalar]:
        """The complete flat form, keys in alphabetical order."""
        core = {name: getattr(self, name) for name in core_fields()}
        return dict(sorted({**core, **self.options}.items()))

    @property
    def canonical(self) -> str:
        """The one text of this recipe: sorted, no spaces; the digest is its SHA-256.

        It is complete but for fields and options that came `later` and have their default, which does what was done
        before there was such a field: a recipe keeps its digest when the language of recipes grows.
        """
        specs = {**core_fields(), **plugin_fields()}
        told = {k: v for k, v in self.as_json().items() if not specs[k].get("later") or v != specs[k]["default"]}
        return json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)

    @property
    def digest(self) -> str:
        """SHA-256 of `canonical`, 64 hexadecimal characters."""
        return hashlib.sha256(self.canonical.encode()).hexdigest()

    @property
    def step_bytes(self) -> int:
        """Bytes of text that one optimizer step trains on."""
        return self.batch * self.context

    def steps(self, budget_bytes: int) -> int:
        """Optimizer steps in a budget of training bytes; at least one."""
        return max(1, budget_bytes // self.step_bytes)


def recipe_from(given: Mapping[str, Any]) -> Recipe:
    """Check a caller's recipe and fill in every default.

    Raises UnknownName (field or plug-in), InvalidValue (type or range), ImpossibleCombination.
    """
    core = {key: value for key, value in given.items() if "." not in key}
    checked: dict[str, Any] = {
        name: check(name, spec, core[name]) for name, spec in core_fields().items() if name in core
    }
    for name in core:
        if name not in core_fields():
            raise unknown("recipe field", name, field_names())
    recipe = Recipe(**checked)
    abouts = chosen(recipe)
    specs = options_of(abouts)
    for name in (key for key in given if "." in key):
        if name not in specs:
            raise foreign_option(name, recipe)
    options = {name: check(name, spec, given.get(name, spec["default"])) for name, spec in sorted(specs.items())}
    recipe = Recipe(**checked, options=MappingProxyType(options))
    refuse_impossible(recipe, abouts)
    return recipe


def core_fields() -> dict[str, dict[str, Any]]:
    """name -> {default, min, max, help} of the fields that every recipe has."""
    return {f.name: {"default": f.default, **f.metadata} for f in fields(Recipe) if f.name != "options"}


def field_names() -> list[str]:
    """Every field a recipe may have: the core ones and the options of all plug-ins."""
    return [*core_fields(), *plugin_fields()]


def plugin_fields() -> dict[str, dict[str, Any]]:
    """`plugin.option` -> {default, min, max, help} over all plug-ins of all kinds."""
    every = options_of([(kind, *item) for kind, folder in CHOICES.items() for item in folder.abouts.items()])
    return every | {f"{kind}.{key}": spec for kind, folder in CHOICES.items() for key, spec in folder.shared.items()}


def options_of(plugins: Iterable[tuple[str, str, About]]) -> dict[str, dict[str, Any]]:
    """`plugin.option` and `kind.option` -> {default, min, max, help} of plug-ins given as (kind, name, header).

    A header's `defaults` replace those of the options that all plug-ins of its kind have.
    """
    specs: dict[str, dict[str, Any]] = {}
    for kind, name, about in plugins:
        own = {key: {"default": value} for key, value in about.get("defaults", {}).items()}
        specs |= {f"{kind}.{key}": {**spec, **own.get(key, {})} for key, spec in CHOICES[kind].shared.items()}
        specs |= {f"{name}.{key}": spec for key, spec in about.get("fields", {}).items()}
    return specs


def chosen(recipe: Recipe) -> list[tuple[str, str, About]]:
    """(kind, name, header) of the plug-ins that the recipe names."""
    names = {kind: str(getattr(recipe, kind)) for kind in CHOICES}
    present = {kind: name for kind, name in names.items() if not (kind in OPTIONAL and name == NONE)}
    return [(kind, name, CHOICES[kind].about(name)) for kind, name in present.items()]


def check(name: str, spec: Mapping[str, Any], value: Any) -> Scalar:
    """One value against its type and range. An integer may stand for a float; nothing else is converted."""
    default = spec["default"]
    if isinstance(default, float) and type(value) is int:
        value = float(value)
    if type(value) is not type(default):
        raise InvalidValue(f"{name} must be of type {type(default).__name__}, got {shown(value)}.")
    if isinstance(value, str):
        if name in CHOICES and not (name in OPTIONAL and value == NONE):
            CHOICES[name].about(value)
        elif "choices" in spec and value not in spec["choices"]:
            raise unknown(f"value of {name}:", value, spec["choices"])
    elif not isinstance(value, bool) and not (math.isfinite(value) and spec["min"] <= value <= spec["max"]):
        raise InvalidValue(f"{name} must lie in [{spec['min']}, {spec['max']}], got {shown(value)}.")
    result: Scalar = value
    return result


def foreign_option(name: str, recipe: Recipe) -> Exception:
    """The refusal of an option that belongs to no chosen plug-in."""
    if name not in plugin_fields():
        return unknown("recipe field", name, field_names())
    plugin = name.split(".", 1)[0]
    if plugin in CHOICES:
        return ImpossibleCombination(f"{shown(name)} is an option of every {plugin}; this recipe has {plugin} {NONE}.")
    kind = next(kind for kind, folder in CHOICES.items() if name in options_of(plugin_of(kind, folder, plugin)))
    return ImpossibleCombination(
        f"{shown(name)} is an option of the {kind} {plugin}; this recipe has {kind} {getattr(recipe, kind)}."
    )


def plugin_of(kind: str, folder: Plugins, name: str) -> list[tuple[str, str, About]]:
    """The plug-in of that name and kind, if there is one."""
    return [(kind, name, folder.about(name))] if name in folder else []


def refuse_impossible(recipe: Recipe, abouts: Iterable[tuple[str, str, About]]) -> None:
    """Raise ImpossibleCombination where a plug-in's `combines` or the shapes forbid the recipe.

    `combines` maps a field, or an option where the recipe has it, to the values it may have beside the plug-in; `"*"`
    stands for every plug-in but none. `least` maps a field to the smallest value that it may have.
    """
    for _, name, about in abouts:
        for other, least in about.get("least", {}).items():
            if getattr(recipe, other) < least:
                raise ImpossibleCombination(f"{name} needs {other} of at least {least}, got {getattr(recipe, other)}.")
        for other, allowed in about.get("combines", {}).items():
            value = recipe.options.get(other, allowed[0]) if "." in other else getattr(recipe, other)
            if value not in allowed and not ("*" in allowed and value != NONE):
                listed = ", ".join(map(str, allowed)).replace("*", "any but none")
                raise ImpossibleCombination(f"{name} does not combine with {other} {value}; allowed: {listed}.")
    refuse_strategy(recipe)
    if recipe.width % (2 * recipe.heads):
        raise ImpossibleCombination(f"width {recipe.width} is not a multiple of 2 * heads = {2 * recipe.heads}.")
    if recipe.warmup + recipe.decay > 1:
        raise ImpossibleCombination(f"warmup {recipe.warmup} + decay {recipe.decay} is more than the whole budget.")
    if recipe.loops == 1 and (recipe.loop_first, recipe.loop_last, recipe.loop_start) != (1, 0, 0.0):
        raise ImpossibleCombination("With loops 1 no band is looped; leave loop_first, loop_last and loop_start out.")
    if not recipe.loop_first <= (recipe.loop_last or recipe.blocks) <= recipe.blocks:
        raise ImpossibleCombination(
            f"The band {recipe.loop_first}..{recipe.loop_last or recipe.blocks} is none of {recipe.blocks} blocks."
        )


def refuse_strategy(recipe: Recipe) -> None:
    """Raise ImpossibleCombination where the rule has no such strategy, or has it only beside other values.

    A rule's header lists its `strategies`; `needs` maps one of them to the fields it needs and their values.
    """
    name = recipe.strategy
    if recipe.rule == NONE:
        if name != STRATEGIES[0]:
            raise ImpossibleCombination(f"strategy {name} is one of a memory rule; this recipe has rule {NONE}.")
        return
    about = CHOICES["rule"].about(recipe.rule)
    offered = about.get("strategies", STRATEGIES[:2])
    if name not in offered:
        raise ImpossibleCombination(f"{recipe.rule} has no strategy {name}; it has: {', '.join(offered)}.")
    for other, allowed in about.get("needs", {}).get(name, {}).items():
        if getattr(recipe, other) not in allowed:
            listed = ", ".join(allowed)
            raise ImpossibleCombination(
                f"{recipe.rule} has strategy {name} only with {other} {listed}, not {getattr(recipe, other)}."
            )


def json_schema() -> dict[str, Any]:
    """JSON Schema of what a caller may send as a recipe, made from the fields and the plug-ins' headers."""
    every = {**core_fields(), **plugin_fields()}
    return {"type": "object", "additionalProperties": False, "properties": {n: schema(n, s) for n, s in every.items()}}


def schema(name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """JSON Schema of one field."""
    default = spec["default"]
    if isinstance(default, str):
        values = [*CHOICES[name], *([NONE] if name in OPTIONAL else [])] if name in CHOICES else list(spec["choices"])
        shape: dict[str, Any] = {"type": "string", "enum": values}
    elif isinstance(default, bool):
        shape = {"type": "boolean"}
    else:
        kind = "integer" if isinstance(default, int) else "number"
        shape = {"type": kind, "minimum": spec["min"], "maximum": spec["max"]}
    return {**shape, "default": default, "description": spec.get("help", "")}
