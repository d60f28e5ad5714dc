"""The manual of `igla race`, with every recipe field and plug-in, made from the folders without importing them."""

from kernels.formats import formats
from training.format_fields import PLACES, PLAIN
from training.recipe import CHOICES, NONE, OPTIONAL, core_fields

HEAD = (
    "Run a whole race on this machine: plan, train, measure, promote, rank.",
    "Every recipe starts with all seeds at T/9 of the budget, each run a complete schedule of its own. The best third "
    "moves to T/3, the best of those to T. Numbers are bits per byte on held-out text, measured by igla's scorer after "
    "every chunk; lower is better. A run that falls far behind is stopped, and every decision is shown with its "
    "numbers. With --matrix every recipe gets the whole budget and nobody is stopped. A race that was cut short goes "
    "on when it is started again under its name.",
    "[bold]Examples[/bold]\n"
    "igla race\n"
    "igla race --budget 15m\n"
    """igla race --budget 2MB --grid '{"optimizer": ["adamw", "muon"], "ngram": [0, 3]}'\n"""
    "igla race --grid phi_ladder\n"
    "igla race --matrix tour --optimizers adamw,muon --budget 13m\n"
    """igla race --recipes '[{}, {"width": 96, "batch": 16}]' --seeds 1,2""",
)


def race_manual() -> str:
    """Text of `igla race --help`."""
    core = core_fields()
    fields = [f"{name}: {spec['help']}; {limits(spec)}" for name, spec in core.items() if name not in CHOICES]
    blocks = [*HEAD, "\n".join(["[bold]Recipe fields[/bold]", *fields])]
    for kind, folder in CHOICES.items():
        if kind in PLACES:
            continue
        names = [plug_in(name, dict(about)) for name, about in folder.abouts.items()]
        if folder.shared:
            names.append(plug_in(f"every {kind}", {"fields": folder.shared}, kind))
            names += [
                f"{name}: {kind}.{key}={value}"
                for name, about in folder.abouts.items()
                for key, value in about.get("defaults", {}).items()
            ]
        extra = [f"{NONE}: {OPTIONAL[kind]}"] if kind in OPTIONAL else []
        head = f"[bold]{kind}[/bold]: {core[kind]['help']} (default {core[kind]['default']})"
        blocks.append("\n".join([head, *names, *extra]))
    return "\n\n".join([*blocks, formats_told()])


def formats_told() -> str:
    """What the three fields of number formats are, and the formats by family."""
    fields = [f"{place}: {help_} (default {PLAIN})" for place, help_ in PLACES.items()]
    switches = [plug_in("their options", {"fields": CHOICES[place].shared, "help": place}, place) for place in PLACES]
    by_family: dict[str, list[str]] = {}
    for name, one in formats.items():
        by_family.setdefault(one.family, []).append(name)
    families = [f"{family}: {', '.join(names)}" for family, names in by_family.items()]
    return "\n".join(["[bold]Number formats[/bold] (docs/formats.md)", *fields, *switches, *families])


def plug_in(name: str, about: dict[str, object], prefix: str = "") -> str:
    """One line: a plug-in, what it is, and its options."""
    fields = about.get("fields", {})
    assert isinstance(fields, dict)
    options = ", ".join(f"{prefix or name}.{key}={spec['default']}" for key, spec in fields.items())
    return f"{name}: {about.get('help', 'options that all of them have')}" + (f" ({options})" if options else "")


def limits(spec: dict[str, object]) -> str:
    """`default 128, 16 to 2048` or `default segment; segment, step, scan`."""
    if "min" in spec:
        return f"default {spec['default']}, {spec['min']} to {spec['max']}"
    choices = spec.get("choices", [])
    assert isinstance(choices, list)
    return f"default {spec['default']}" + (f"; {', '.join(choices)}" if choices else "")
