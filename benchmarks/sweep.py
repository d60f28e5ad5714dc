"""Every memory rule in every composition with one, two and four levels, on the embedded corpus: does it train?

`.venv/bin/python benchmarks/sweep.py [--quick] [--rules NAME ...] [--steps N] [--long N] [--out docs/sweep.md]` trains
each cell from one seed on one thread and prints a JSON line a cell: every rule for N steps, and those of the first tier
for as many as `--long` says. A cell is ok where loss and weights stay finite and the loss falls. `--out` writes the
tables as Markdown. It tells what runs and what it costs; one seed and a small model are no verdict on quality.
"""

import argparse
import math
import sys
from pathlib import Path
from time import process_time
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))

import torch

from benchmarks import tell
from training.compositions import compositions
from training.corpora import resolve
from training.corpus import build
from training.memory_pool import keep_freed_memory
from training.recipe import recipe_from
from training.rules import rules
from training.run import Run
from training.windows import as_tensor

SIZE = {"width": 32, "heads": 2, "window": 32, "context": 64, "batch": 2, "ngram": 0}
RATIO = 2
"""Of the periods of levels: all of them fire in a short run."""
LEVELS = (1, 2, 4)
COMPOSITIONS = [name for name in compositions if "*" in compositions.about(name)["combines"]["rule"]]
SEED = 1597
FIRST_TIER = ("hebbian", "delta", "titans", "atlas")
"""Rules that are live at every token and take many at once."""


class Cell(NamedTuple):
    """What a cell came to: bits per byte of the first step and of the last tenth, processor milliseconds a step."""

    first: float
    last: float
    step_ms: float
    ok: bool


Cells = dict[tuple[str, str, int], Cell]
"""(rule, composition, levels) -> what it came to."""


def cell(rule: str, composition: str, levels: int, steps: int, train: torch.Tensor) -> Cell:
    """Train one recipe from its start to its end."""
    fields = {"rule": rule, "composition": composition, "cms": "basic", "cms.levels": levels, "cms.ratio": RATIO}
    run = Run(recipe_from({**SIZE, **fields}), SEED, steps)
    began, losses = process_time(), []
    for _ in range(steps):
        losses.append(run.train(train))
    step_ms = 1000 * (process_time() - began) / steps
    tail = losses[-max(1, steps // 10) :]
    last = sum(tail) / len(tail)
    ok = all(math.isfinite(loss) for loss in losses) and run.finite() and last < losses[0]
    return Cell(losses[0], last, step_ms, ok)


HEAD = f"""# Sweep: rules x compositions x levels

Bits per byte of training, last tenth of the steps; after the slash processor milliseconds a step.
One thread, one seed ({SEED}), {", ".join(f"`{key}={value}`" for key, value in SIZE.items())}, all else default,
the embedded corpus. `cms=basic` with periods 1, {RATIO}, {RATIO**2}, {RATIO**3} steps.
A cell that is not finite or did not learn is marked **failed**. One seed and a small model are no verdict; which rule
is worth its time stands in [algorithms.md](algorithms.md#which-memory-rule). `make sweep` writes this page anew.
"""


def section(cells: Cells, steps: int) -> str:
    """The table of one length as Markdown."""
    lines = [
        f"## {steps:,} steps",
        "",
        "| rule | " + " | ".join(f"{c}, k={k}" for c in COMPOSITIONS for k in LEVELS) + " |",
        "|---|" + "---:|" * (len(COMPOSITIONS) * len(LEVELS)),
    ]
    for rule in sorted({name for name, _, _ in cells}):
        row = [cells.get((rule, c, k)) for c in COMPOSITIONS for k in LEVELS]
        lines.append(f"| {rule} | " + " | ".join(written(each) for each in row) + " |")
    total = sum(each.ok for each in cells.values())
    return "\n".join([*lines, "", f"{total} of {len(cells)} cells are finite and learned.", ""])


def written(found: Cell | None) -> str:
    """One cell of the table."""
    if found is None:
        return ""
    return f"{found.last:.3f} / {found.step_ms:.0f}" if found.ok else "**failed**"


def main() -> None:
    """Run the cells, rule by rule, and write the page anew after each rule."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three steps a cell")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--long", type=int, default=2000, help="steps of the first tier; 0 for none")
    parser.add_argument("--rules", nargs="*", default=list(rules), help="default: all")
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    options = parser.parse_args()
    lengths = {3: options.rules} if options.quick else {options.steps: options.rules}
    if options.long and not options.quick:
        lengths[options.long] = [rule for rule in options.rules if rule in FIRST_TIER]
    torch.set_num_threads(1)
    keep_freed_memory()
    source = resolve("stdlib")
    train = as_tensor(build(source.name, source.documents(), source=source.note).texts["train"])
    tables: dict[int, Cells] = {steps: {} for steps in lengths}
    for steps, names in lengths.items():
        for rule in names:
            for composition in COMPOSITIONS:
                for levels in LEVELS:
                    found = tables[steps][rule, composition, levels] = cell(rule, composition, levels, steps, train)
                    told = {"first": round(found.first, 4), "step_ms": round(found.step_ms, 2), "steps": steps}
                    tell(f"sweep.{rule}.{composition}.k{levels}", found.last, "bpb", ok=found.ok, **told)
            if options.out:
                parts = (section(cells, length) for length, cells in tables.items() if cells)
                options.out.write_text("\n".join([HEAD, *parts]), encoding="utf-8")


if __name__ == "__main__":
    main()
