"""What a chunk of test-time training costs: `step_one_chunk` (score, then adapt) of the default recipe, on the CPU.

`.venv/bin/python benchmarks/chunk.py [--quick]` prints a JSON line a measurement, and a line for people on stderr.
`chunk.p99_ms` is taken on two threads; `chunk.flatness` is the median at byte 10^6 over that at byte 10^3, steps of the
two readings alternating. The late reading has really read its million bytes, score and adaptation included (100 kB
with --quick); only its chunks are longer on the way there.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parent.parent))

import torch
from torch import Tensor

from benchmarks import tell
from training.adapting import Adaptation, Learned
from training.memory_pool import keep_freed_memory
from training.recipe import recipe_from
from training.run import Run
from training.scorer.adaptive import Reading, ScoreFirst
from training.scorer.windows import ids_of
from training.windows import as_tensor

EARLY, LATE, TRAINED = 1_000, 1_000_000, 60


def text() -> bytes:
    """Real bytes: the source of Python's standard library."""
    return b"".join(file.read_bytes() for file in sorted(Path(json.__file__).parent.parent.glob("*.py")))


def advanced(learning: Adaptation, ids_S: Tensor, count: int) -> Reading[Learned]:
    """A reading that has read `count` bytes, in chunks of 4 kB."""
    reader = ScoreFirst(learning, 4096)
    reading = reader.start()
    for chunk_N in ids_S[:count].split(4096):
        _, reading = reader.step_one_chunk(reading, chunk_N)
    return reading


def timed(reader: ScoreFirst[Learned], reading: Reading[Learned], chunk_N: Tensor) -> tuple[float, Reading[Learned]]:
    """Seconds of one step, and where the reading is then."""
    began = perf_counter()
    _, reading = reader.step_one_chunk(reading, chunk_N)
    return perf_counter() - began, reading


def main() -> None:
    """Read to both places, then step there by turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute")
    quick = parser.parse_args().quick
    torch.set_num_threads(2)
    keep_freed_memory()
    data = text()
    run = Run(recipe_from({"ttt": "sgd"}), 0, TRAINED)
    for _ in range(TRAINED):
        run.train(as_tensor(data[LATE + 100_000 :]))
    learning = run.adaptation
    assert learning is not None
    learning = replace(learning, options={**learning.options, "reset": "none"})
    late = LATE // 10 if quick else LATE
    ids_S, reader = ids_of(data)[1:], learning.reader()
    readings = {place: advanced(learning, ids_S, place) for place in (EARLY, late)}
    times: dict[int, list[float]] = {EARLY: [], late: []}
    for step in range(10 + (150 if quick else 250)):
        for place in readings:
            at = place + step * reader.stride
            seconds, following = timed(reader, readings[place], ids_S[at : at + reader.stride])
            times[place] += [seconds] if step >= 10 else []
            readings[place] = following if place == late else readings[place]
    every = [1000 * seconds for each in times.values() for seconds in each]
    facts = {"stride": reader.stride, "recipe": run.recipe.digest, "steps": len(every), "threads": 2}
    p99 = quantiles(every, n=100)[98]
    tell("chunk.p99_ms", p99, "ms", limit=50, ok=p99 < 50, p50_ms=round(median(every), 2), **facts)
    flat = median(times[late]) / median(times[EARLY])
    tell("chunk.flatness", flat, "ratio", limit=1.1, ok=flat <= 1.1, early=EARLY, late=late)


if __name__ == "__main__":
    main()
