"""Memory rules on CPU: what the segment form saves over the definition, and how far frozen rules are from live ones.

`.venv/bin/python benchmarks/rules.py [--quick]` prints a JSON line a measurement, and a line for people on stderr.
`rules.NAME.speedup` is the time of `step` and `read` token by token over that of `segment`, forward, one thread,
without gradients, the fastest call of each; rules that only know one token at a time have none.
`rules.NAME_frozen.gap` is the relative L2 distance of what is read from the live rule's reads over the same tokens,
gates and first weights, with theta around its bias and with a tenth of that.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks import tell
from training.memory import SEGMENT
from training.memory_pool import keep_freed_memory
from training.rules import MAPS, Gates, MemoryRule, rules, scan

ROWS, HEADS, SIZE = 2, 2, 32
"""Batch rows, heads, and K = V: those of a recipe of width 64."""

EXACT = ("atlas", "delta", "dgd", "hebbian", "implicit", "omega_surrogate", "titans")
"""Rules on a matrix whose segment form is promised to be worth it."""

LIMIT = 10.0
"""Least speedup of theirs at 512 tokens."""

PERIODS = (4, 16, 64)


def tokens(rule: MemoryRule, length: int) -> tuple[Tensor, Tensor, Tensor, Gates]:
    """Random queries, keys, values and gates around their biases."""
    random = torch.Generator().manual_seed(0)
    q, k, v = torch.randn(3, ROWS, HEADS, length, SIZE, generator=random)
    gates = {
        name: MAPS[spec["map"]](torch.randn(ROWS, HEADS, length, generator=random) + spec["bias"])
        for name, spec in rule.about["gates"].items()
    }
    return functional.normalize(q, dim=-1), functional.normalize(k, dim=-1), v, gates


def ready(name: str, **options: Any) -> MemoryRule:
    """The rule over its first tensors."""
    torch.manual_seed(0)
    rule: MemoryRule = rules[name].with_options(**options) if options else rules[name]
    return rule.with_learned(rule.learned(HEADS, SIZE, SIZE))


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Time of the fastest call, after one that is not counted: others use this machine too."""
    times = []
    for _ in range(repeats + 1):
        began = perf_counter()
        work()
        times.append(perf_counter() - began)
    return min(times[1:])


def speedup(name: str, length: int, repeats: int) -> None:
    """Definition against segment form."""
    rule = ready(name)
    q, k, v, gates = tokens(rule, length)
    start = rule.initial(q, v)
    slow = seconds(lambda: scan(rule, start, q, k, v, gates), repeats)
    fast = seconds(lambda: rule.segment(start, q, k, v, gates, SEGMENT), repeats)
    limit = LIMIT if name in EXACT else None
    ok = slow / fast >= LIMIT if name in EXACT else None
    detail = {"step_ms": round(1000 * slow, 2), "segment_ms": round(1000 * fast, 2), "tokens": length}
    tell(f"rules.{name}.speedup", slow / fast, "x", limit, ok, **detail)


def gap(name: str, length: int) -> None:
    """A frozen rule against the live one, for some periods and sizes of step."""
    for period in PERIODS:
        for share in (1.0, 0.1):
            frozen, live = ready(name, period=period), ready(name.removesuffix("_frozen"))
            q, k, v, gates = tokens(frozen, length)
            gates = {**gates, "theta": share * gates["theta"]}
            expected, _ = live.segment(live.initial(q, v), q, k, v, gates, SEGMENT)
            y, _ = frozen.segment(frozen.initial(q, v), q, k, v, gates, SEGMENT)
            distance = ((y - expected).norm() / expected.norm()).item()
            tell(f"rules.{name}.gap", distance, "rel. L2", period=period, theta=share)


def main() -> None:
    """All rules."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer repeats")
    repeats = 3 if parser.parse_args().quick else 9
    torch.set_num_threads(1)
    keep_freed_memory()
    with torch.no_grad():
        for name in rules:
            if name in EXACT or name.endswith("_frozen"):
                speedup(name, 512, repeats)
        for name in rules:
            if name.endswith("_frozen"):
                gap(name, 512)


if __name__ == "__main__":
    main()
