"""Memory rules: how a matrix or a small network learns, token by token, from the keys and values it is shown.

A rule declares its gates in `about["gates"]`: name -> {"map", "bias"}, the function in `MAPS` that turns a linear map
of the token into the gate, and the bias that the map starts with. `step` is the definition; `segment` computes the
same for many tokens at once. State is a NamedTuple of tensors that the rule declares; a batch row and a head each have
their own. A value is read after its token was written: y_t = read(S_t, q_t).

`about["bias"]` and `about["retention"]` name a rule's own; `combines` lists those that a recipe may put in their place.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from plugins import About, Plugins
from training.biases import biases
from training.recipe import NONE, Recipe, Scalar
from training.retentions import Retention, retentions
from training.tokenwise import in_windows, one_by_one, scan

about = {
    "fields": {
        "norm_of_qk": {
            "default": "l2",
            "choices": ["l2", "rms", "none"],
            "help": "how queries and keys of the memory are normed: unit length, unit mean square, or not at all",
            "later": True,
        },
        "alpha_means": {
            "default": "retain",
            "choices": ["retain", "forget"],
            "help": "what a larger output of the map of the gate of retention means",
            "later": True,
        },
    },
}
"""Options that every rule has, spelt `rule.option`; the memory layer around the rule obeys them."""

State = Any
"""The rule's own NamedTuple of tensors, each with leading axes B, H."""

Gates = Mapping[str, Tensor]
"""Gate name -> [B, H, T] (one token: [B, H])."""

Segment = Callable[[State, Tensor, Tensor, Tensor, Gates, int], tuple[Tensor, State]]

MAPS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "logsigmoid": functional.logsigmoid,
    "softplus": functional.softplus,
}


@dataclass(frozen=True, kw_only=True)
class Inner:
    """What the functions of a rule with options get before all else.

    options: every one of `about["fields"]`. error: (predicted, target) -> the bias's error. named: the bias and the
    retention in use; swapped: the recipe's fields about them, `none` for the rule's own. gates: their names.
    learned: the rule's tensors, [H, ...].
    strategy: how `segment` computes: all tokens of a segment at once, one by one, or with a scan over segments.
    stage: 2 in the second stage of training of a rule that has one, and in all that is read after it.
    """

    options: Mapping[str, Scalar]
    error: Callable[[Tensor, Tensor], Tensor]
    retention: Retention
    gates: tuple[str, ...]
    named: Mapping[str, str]
    swapped: Mapping[str, Scalar]
    learned: Mapping[str, Tensor] = field(default_factory=dict)
    strategy: str = "segment"
    stage: int = 1


@dataclass(frozen=True)
class MemoryRule:
    """One memory rule.

    initial: (q_BHTK, v_BHTV) -> the empty state for those shapes, dtype and device
    step: (state, k_BHK, v_BHV, gates) -> state after one token
    read: (state, q_BHK) -> y_BHV
    segment: (state, q_BHTK, k_BHTK, v_BHTV, gates, length) -> (y_BHTV, state), what T times step and read
    give, computed `length` tokens at a time
    learned: (heads, K, V) -> tensors [H, ...] that are trained with the model, drawn from torch's generator; a rule
    that has some works after `with_learned`
    configure: builds the rule for another `inner`; both are None for a rule without options and learned tensors
    reads_before: a value is read before its token is written
    strategy: what `segment` does, for the echo
    front: the options that every rule has
    """

    about: About
    initial: Callable[[Tensor, Tensor], State]
    step: Callable[[State, Tensor, Tensor, Gates], State]
    read: Callable[[State, Tensor], Tensor]
    segment: Segment
    learned: Callable[[int, int, int], Mapping[str, Tensor]] = lambda heads, K, V: {}
    configure: Callable[[Inner], "MemoryRule"] | None = None
    inner: Inner | None = None
    reads_before: bool = False
    strategy: str = "segment"
    front: Mapping[str, Scalar] = field(default_factory=lambda: options_of("rule", about, None))

    def with_learned(self, learned: Mapping[str, Tensor]) -> "MemoryRule":
        """This rule over its learned tensors."""
        if self.configure is None or self.inner is None:
            return self
        return self.configure(replace(self.inner, learned=learned))

    def with_options(self, **options: Scalar) -> "MemoryRule":
        """This rule with some options changed."""
        assert self.configure is not None and self.inner is not None and options.keys() <= self.inner.options.keys()
        return self.configure(replace(self.inner, options={**self.inner.options, **options}))

    def in_stage(self, progress: float) -> "MemoryRule":
        """This rule as at that fraction of the budget: its header's option `second` says when the second stage begins.

        Two stages are two rules: what one has written into a state is nothing for the other to go on with.
        """
        second = float(self.inner.options.get("second", 0.0)) if self.inner is not None else 0.0
        if self.configure is None or self.inner is None or second == 0.0:
            return self
        stage = 2 if progress >= 1 - second else 1
        return replace(self.configure(replace(self.inner, stage=stage)), front=self.front)

    def echo(self, name: str) -> Mapping[str, Scalar]:
        """The recipe fields that the rule of that name was built with."""
        shared = {f"rule.{key}": value for key, value in self.front.items()}
        if self.inner is None:
            return {"rule": name, "strategy": self.strategy, **shared}
        options = {f"{name}.{key}": value for key, value in self.inner.options.items()}
        return {"rule": name, "strategy": self.strategy, **shared, **self.inner.swapped, **options}


def with_inner(
    about: About,
    *,
    initial: Callable[[Inner, Tensor, Tensor], State],
    step: Callable[[Inner, State, Tensor, Tensor, Gates], State],
    read: Callable[[Inner, State, Tensor], Tensor],
    segment: Callable[[Inner, State, Tensor, Tensor, Tensor, Gates, int], tuple[Tensor, State]] | None = None,
    learned: Callable[[Inner, int, int, int], Mapping[str, Tensor]] = lambda inner, heads, K, V: {},
    segments: Callable[[Inner], bool] = lambda inner: True,
    gates: Callable[[Inner], Sequence[str]] = lambda inner: inner.gates,
) -> MemoryRule:
    """The rule whose functions take an `Inner` first, with every option at its default.

    segments: whether `segment` computes what `step` defines under these options; elsewhere, and for a rule without
    `segment`, tokens go through `step` one by one. gates: those of the header that the rule has under these options.
    """

    def configure(inner: Inner) -> MemoryRule:
        def defined(*given: Any) -> tuple[Tensor, State]:
            return scan(rule, *given[:-1]) if inner.strategy == "step" else one_by_one(rule, *given)

        fast = segment is not None and segments(inner) and inner.strategy != "step"
        form = partial(segment, inner) if segment is not None and fast else defined
        rule = MemoryRule(
            {**about, "gates": {name: about["gates"][name] for name in gates(inner)}},
            initial=partial(initial, inner),
            step=partial(step, inner),
            read=partial(read, inner),
            segment=truncated(form, inner),
            learned=partial(learned, inner),
            configure=configure,
            inner=inner,
            reads_before=inner.options.get("read_at") == "before",
            strategy=inner.strategy,
        )
        return rule

    return configure(inner_of(about))


def truncated(form: Segment, inner: Inner) -> Segment:
    """The same values; under `gradient` truncated, no gradient flows from a window of `truncate` tokens to the last."""
    if inner.options.get("gradient") != "truncated":
        return form
    return in_windows(form, int(inner.options["truncate"]))


def inner_of(about: About, recipe: Recipe | None = None) -> Inner:
    """The options, bias and retention that a recipe asks of a rule; without a recipe, the defaults."""
    asked = {kind: NONE if recipe is None else str(getattr(recipe, kind)) for kind in ("bias", "retention")}
    named = {kind: about.get(kind, "l2") if name == NONE else name for kind, name in asked.items()}
    bias, retention = biases[named["bias"]], retentions[named["retention"]]
    of_bias = options_of(named["bias"], bias.about, recipe)
    of_retention = options_of(named["retention"], retentions.about(named["retention"]), recipe)
    theirs = {"bias": of_bias, "retention": of_retention}
    swapped = {f"{asked[kind]}.{key}": x for kind in asked if asked[kind] != NONE for key, x in theirs[kind].items()}
    return Inner(
        options=options_of("" if recipe is None else recipe.rule, about, recipe),
        error=partial(bias.error, options=of_bias),
        retention=retention(of_retention),
        gates=tuple(about["gates"]),
        named=named,
        swapped={**asked, **swapped},
        strategy="segment" if recipe is None else recipe.strategy,
    )


def options_of(name: str, about: About, recipe: Recipe | None) -> dict[str, Scalar]:
    """Every option of one plug-in: the recipe's, or the default."""
    given = {} if recipe is None else recipe.options
    return {key: given.get(f"{name}.{key}", spec["default"]) for key, spec in about.get("fields", {}).items()}


def rule_of(recipe: Recipe) -> MemoryRule:
    """The memory rule of a recipe, with its options, bias, retention and strategy."""
    rule: MemoryRule = rules[recipe.rule]
    front = options_of("rule", about, recipe)
    if rule.configure is not None:
        return replace(rule.configure(inner_of(rule.about, recipe)), front=front)
    if recipe.strategy == "step":
        return replace(rule, segment=lambda *given: scan(rule, *given[:-1]), strategy="step", front=front)
    return replace(rule, front=front)


rules = Plugins("training.rules")
