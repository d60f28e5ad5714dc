"""What test-time training is worth on books: the same checkpoint with and without it, chapter by chapter.

`.venv/bin/python benchmarks/ttt_books.py [--quick]` trains the default recipe on the classic books (the folder
data/classic-books under IGLA_SHARED), chooses each mode's settings on two validation books, and measures the gain in
bits per byte on the other two, whose authors are others. A chapter is a document: nothing is carried from one to the
next. The interval is a bootstrap over chapters.
"""

import argparse
import itertools
import lzma
import math
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import torch

from benchmarks import tell
from training.adapting import adaptation
from training.memory_pool import keep_freed_memory
from training.recipe import NONE, Scalar, recipe_from
from training.run import Run
from training.windows import as_tensor

BOOKS = Path(__file__).parent.parent / os.environ.get("IGLA_SHARED", "../shared") / "data" / "classic-books"

TUNED_ON = ("Barchester Towers", "The Warden")
TESTED_ON = ("The Great American Fraud", "The Created Legend")

GRIDS: Mapping[str, Mapping[str, Sequence[Scalar]]] = {
    "sgd": {"ttt.inner_lr": [0.03, 0.1, 0.3], "ttt.inner_steps": [1, 2], "sgd.inner_weights": ["all", "mlp"]},
    "lora": {"ttt.inner_lr": [0.003, 0.01, 0.03], "ttt.inner_steps": [1, 2]},
    "e2e": {"ttt.inner_lr": [0.1, 0.3, 1.0]},
}
"""Settings among which the tuning books choose."""

SHORTEST = 2000
"""Bytes below which a section belongs to the chapter after it."""

RESAMPLES = 10_000


@dataclass(frozen=True)
class Costs:
    """Nats that each chapter costs, and its bytes."""

    nats: tuple[float, ...]
    sizes: tuple[int, ...]

    @property
    def bpb(self) -> float:
        """Bits per byte over all chapters."""
        return math.fsum(self.nats) / math.log(2) / sum(self.sizes)


def read(name: str) -> bytes:
    """A file of the classic books."""
    return lzma.decompress((BOOKS / name).read_bytes())


def chapters(text: bytes, titles: Sequence[str]) -> list[bytes]:
    """The chapters of the books with these titles: from one heading of level 2 or 3 to the next."""
    found = []
    for book in re.split(rb"(?m)^(?=# Title: )", text):
        if any(book.startswith(f"# Title: {title}\n".encode()) for title in titles):
            parts, held = re.split(rb"(?m)^(?=###? )", book), b""
            for part in parts:
                held += part
                if len(held) >= SHORTEST:
                    found.append(held)
                    held = b""
            found[-1] += held
    return found


def trained(fields: Mapping[str, Scalar], text: bytes, budget: int) -> Run:
    """A run of the default recipe with these fields."""
    recipe = recipe_from(fields)
    run, train = Run(recipe, 1597, recipe.steps(budget)), as_tensor(text)
    while run.step < run.total_steps:
        run.train(train)
    return run


def measured(run: Run, documents: Sequence[bytes], fields: Mapping[str, Scalar]) -> Costs:
    """The run's weights on these documents, each for itself, with the test-time training of these fields."""
    run.adaptation = adaptation(recipe_from(fields), run.model)
    nats = tuple(run.measure(each, [len(each)]).nll_sum for each in documents)
    return Costs(nats, tuple(map(len, documents)))


def gain(plain: Costs, adapted: Costs) -> tuple[float, float, float]:
    """Bits per byte saved, and its 95 % interval over resampled chapters."""
    saved, sizes = np.subtract(plain.nats, adapted.nats) / math.log(2), np.array(plain.sizes)
    drawn = np.random.default_rng(0).integers(0, len(sizes), (RESAMPLES, len(sizes)))
    resampled = saved[drawn].sum(1) / sizes[drawn].sum(1)
    low, high = np.quantile(resampled, [0.025, 0.975])
    return float(saved.sum() / sizes.sum()), float(low), float(high)


def settings_of(mode: str) -> list[dict[str, Scalar]]:
    """Every combination of the mode's grid."""
    grid = GRIDS[mode]
    return [{"ttt": mode, **dict(zip(grid, values, strict=True))} for values in itertools.product(*grid.values())]


def compare(run: Run, mode: str, tuning: Sequence[bytes], testing: Sequence[bytes], name: str) -> None:
    """Choose the mode's settings on one list of chapters, tell the gain on the other."""
    began = perf_counter()
    found = {index: measured(run, tuning, fields).bpb for index, fields in enumerate(settings_of(mode))}
    best = settings_of(mode)[min(found, key=found.__getitem__)]
    plain, adapted = measured(run, testing, {"ttt": NONE}), measured(run, testing, best)
    value, low, high = gain(plain, adapted)
    facts = {"settings": best, "plain": round(plain.bpb, 4), "adapted": round(adapted.bpb, 4)}
    sizes = {"chapters": len(testing), "bytes": sum(map(len, testing)), "tuning_bytes": sum(map(len, tuning))}
    spent = {"steps": run.total_steps, "budget_bytes": run.total_steps * run.recipe.step_bytes}
    tell(
        f"ttt.books.{name}", value, "bpb", low=round(low, 4), high=round(high, 4), **facts, **sizes, **spent,
        tuning_plain=round(measured(run, tuning, {"ttt": NONE}).bpb, 4), tuning_best=round(min(found.values()), 4),
        seconds=round(perf_counter() - began),
    )  # fmt: skip


def excerpt(documents: Sequence[bytes], limit: int) -> list[bytes]:
    """Every n-th document, so that they come to about `limit` bytes."""
    step = max(1, round(sum(map(len, documents)) / limit))
    return list(documents[::step])


def main() -> None:
    """One checkpoint for the modes that need no preparation, one that training has prepared for `e2e`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small checkpoint and few chapters: about a minute")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    keep_freed_memory()
    train, valid = read("train.txt.xz"), read("valid.txt.xz")
    budget, tuned, tested = (200_000, 10_000, 40_000) if quick else (2_000_000, 60_000, 400_000)
    tuning, testing = excerpt(chapters(valid, TUNED_ON), tuned), excerpt(chapters(valid, TESTED_ON), tested)
    plain = trained({}, train, budget)
    for mode in GRIDS:
        compare(plain, mode, tuning, testing, mode)
    compare(trained({"ttt": "e2e"}, train, budget), "e2e", tuning, testing, "e2e_prepared")


if __name__ == "__main__":
    main()
