"""`igla build`: check a recipe in a file, and say what it comes to on this machine."""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from errors import InvalidValue, Refusal, shown
from server.budget import parse
from training.build import Built, built, flattened
from training.recipe import recipe_from


class ConfigUnreadable(Refusal):
    """Give a file that holds one recipe: a JSON object, or TOML where its name ends in .toml; `{}` is the default."""

    code = "config_unreadable"
    status = 422


def build_command(config: Path, *, seed: int, budget: str, seconds: float, out: Path | None, as_json: bool) -> None:
    """Print what the recipe comes to; with `out`, write its checkpoint of step 0."""
    kind, amount = parse(budget)
    if kind != "bytes":
        raise InvalidValue(f"The budget of one run is text, such as 4MB, got {shown(budget)}.")
    fields = fields_of(config)
    total_steps = recipe_from(flattened(fields)).steps(int(amount))
    told, checkpoint = built(fields, seed=seed, total_steps=total_steps, seconds=seconds)
    found = {**asdict(told), "seed": seed, "total_steps": total_steps, "checkpoint": None, "file": None}
    if out is not None:
        out.write_bytes(checkpoint)
        found |= {"checkpoint": hashlib.sha256(checkpoint).hexdigest(), "file": str(out.resolve())}
    if as_json:
        print(json.dumps(found))  # noqa: T201
    else:
        show(Console(), told, found)


def fields_of(config: Path) -> Mapping[str, Any]:
    """The recipe that stands in a file. Raises ConfigUnreadable."""
    try:
        text = config.read_text(encoding="utf-8")
        found = tomllib.loads(text) if config.suffix == ".toml" else json.loads(text)
    except OSError as error:
        raise ConfigUnreadable(f"{config.name} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError):
        raise ConfigUnreadable(f"{config.name} is no {'TOML' if config.suffix == '.toml' else 'JSON'}.") from None
    if not isinstance(found, dict):
        raise ConfigUnreadable(f"{config.name} holds no object.")
    return found


def show(console: Console, told: Built, found: Mapping[str, Any]) -> None:
    """The same for people."""
    table = Table("field", "value", title="recipe, complete")
    for name, value in told.recipe.items():
        table.add_row(name, str(value))
    console.print(table)
    speed = f"{told.bytes_per_second:,.0f} bytes a second" if told.bytes_per_second else "not measured"
    lines = {
        "digest": told.digest,
        "weights": f"{told.weights:,}, {told.weight_bytes:,} bytes",
        "training": f"{speed} (one thread, {told.steps_timed} steps timed)",
        "steps": f"{found['total_steps']:,}",
        **({"checkpoint": found["checkpoint"], "file": found["file"]} if found["file"] else {}),
    }
    for name, value in lines.items():
        console.print(f"{name}: {value}", highlight=False, markup=False, soft_wrap=True)
