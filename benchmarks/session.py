"""Sessions: time of a decoded byte after 10^3 and after 10^6 bytes read, of a prefill, and memory.

`.venv/bin/python benchmarks/session.py [--quick]` prints a JSON line a measurement, and a line for people on stderr.
Both sessions decode in turns, so that what else the machine does falls on both.
"""

import argparse
import resource
import sys
from pathlib import Path
from statistics import median
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parent.parent))

import torch

from benchmarks import tell
from benchmarks.engine import text
from training.build import built
from training.latency import nearest_rank
from training.memory_pool import keep_freed_memory
from training.serving import served
from training.session import Session

EARLY, TURN = 10**3, 50


def decoded(session: Session, data: bytes) -> list[float]:
    """Seconds of each byte, read one by one."""
    times = []
    for at in range(len(data)):
        began = perf_counter()
        session.process(data[at : at + 1])
        times.append(perf_counter() - began)
    return times


def peak_bytes() -> int:
    """Most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """The default recipe with one thread."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute: 10^5 bytes instead of 10^6")
    late, count = (10**5, 2_000) if parser.parse_args().quick else (10**6, 2_000)
    torch.set_num_threads(1)
    keep_freed_memory()
    data = text()[: late + count]
    _, checkpoint = built({}, seed=0, total_steps=1, seconds=0)
    model = served(checkpoint)
    young, old = Session.new_stream(model), Session.new_stream(model)
    young.prefill(data[:EARLY])
    old.prefill(data[: late // 10])
    before = peak_bytes()
    began = perf_counter()
    old.prefill(data[late // 10 : late])
    speed = 0.9 * late / (perf_counter() - began)
    tell("session.prefill", speed, "byte/s", bytes=late)
    grown, size = peak_bytes() - before, old.state_bytes
    tell("session.state_growth", size / young.state_bytes, "ratio", 1.0, size == young.state_bytes, state_bytes=size)
    tell("session.memory_growth", grown / 2**20, "MiB", 16, grown < 16 * 2**20, bytes=late)
    times: tuple[list[float], list[float]] = ([], [])
    decoded(young, data[EARLY : EARLY + 100])
    decoded(old, data[late : late + 100])
    for at in range(100, count + 100, TURN):
        times[0].extend(decoded(young, data[EARLY + at : EARLY + at + TURN]))
        times[1].extend(decoded(old, data[at : at + TURN]))
    ratio = median(times[1]) / median(times[0])
    p99 = [round(1e3 * nearest_rank(each, 0.99), 3) for each in times]
    detail = {"decoded": count, "early_ms": round(1e3 * median(times[0]), 4), "p99_ms": p99}
    tell("session.flatness", ratio, "ratio", 1.1, 1 / 1.1 <= ratio <= 1.1, early=EARLY, late=late, **detail)


if __name__ == "__main__":
    main()
