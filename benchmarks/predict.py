"""What `igla-predict/1` costs: a small PyTorch entry predicts 256 KiB in its sandbox, and the same loop without both.

`.venv/bin/python benchmarks/predict.py [--quick]` prints a JSON line a measurement, and a line for people on stderr.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from types import ModuleType

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import torch

from benchmarks import tell
from training.arena.console import Console
from training.arena.entry import Entry
from training.arena.limits import Limits
from training.arena.notes import Notes, Trial
from training.arena.phases import boxed, train
from training.arena.protocol import columns, greet, predict, waves
from training.arena.sandbox import start, why_not
from training.arena.trial import placed
from training.arena.wire import Wire

EXAMPLE = Path(__file__).resolve().parent.parent / "docs/examples/predict_torch.py"
LIMITS = Limits(memory_bytes=2**32, threads=1)
WIDTH = "256"
"""Half a million weights."""

SECONDS_LIMIT = 60.0
OVERHEAD_LIMIT = 1.2


def texts(size: int, lanes: int) -> tuple[bytes, list[bytes]]:
    """Real bytes: train text, and `lanes` documents of `size` bytes together."""
    files = sorted(Path(json.__file__).parent.parent.glob("*.py"))
    data = b"".join(file.read_bytes() for file in files)
    each = size // lanes
    return data[size : size + 200_000], [data[each * lane : each * (lane + 1)] for lane in range(lanes)]


def example() -> ModuleType:
    """The example as a module of ours, for the loop without sandbox and protocol."""
    os.environ["WIDTH"] = WIDTH
    spec = importlib.util.spec_from_file_location("predict_torch", EXAMPLE)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True, kw_only=True)
class Run:
    """seconds: from the start; rounds: of the rounds alone; cpu: processor time of the entry and of our side."""

    seconds: float
    rounds: float
    cpu: float
    nll_sum: float


def over_the_wire(given: Trial, documents: list[bytes]) -> Run:
    """Predict the documents in a sandbox."""
    limits, began, cpu = given.limits, perf_counter(), process_time()
    files = {"/entry.py": str(given.work / "entry.py"), "/artifact": str(given.work / "artifact")}
    with start(boxed(given, ("/entry.py", "predict", "/artifact", "0"), files, None)) as sandboxed:
        deadline = perf_counter() + limits.predict_seconds
        wire = Wire(sandboxed, Console(limits.output_bytes), round_seconds=limits.round_seconds, deadline=deadline)
        greet(wire, documents, limits.lanes)
        ready = perf_counter()
        scored = predict(wire, documents, lanes=limits.lanes, replayed=0)
        done = perf_counter()
        used = process_time() - cpu + sandboxed.end(limits.round_seconds).cpu_seconds
    return Run(seconds=done - began, rounds=done - ready, cpu=used, nll_sum=scored.nll_sum)


@torch.inference_mode()
def in_process(module: ModuleType, given: Trial, documents: list[bytes]) -> Run:
    """The same model over the same lanes with nothing between."""
    model = module.Model()
    model.load_state_dict(module.load_file(given.work / "artifact/model.safetensors"))
    began, cpu, total = perf_counter(), process_time(), []
    for wave in waves(documents, given.limits.lanes):
        text = torch.from_numpy(columns(wave)[0].astype(np.int64))
        state, byte = torch.zeros(len(wave), module.WIDTH), torch.full((len(wave),), ord("\n"))
        for told in text:
            state, logp = model(state, byte)
            total.append(-logp.gather(1, told[:, None]).double().sum())
            byte = told
    seconds, used = perf_counter() - began, process_time() - cpu
    return Run(seconds=seconds, rounds=seconds, cpu=used, nll_sum=float(torch.stack(total).sum()))


def main() -> None:
    """Train the example once, then predict both ways in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="64 KiB in place of 256")
    size = (64 if parser.parse_args().quick else 256) * 1024
    if reason := why_not():
        sys.exit(f"no sandbox here: {reason}")
    torch.set_num_threads(LIMITS.threads)
    script = EXAMPLE.read_bytes()
    entry = Entry(
        name="example", script=script, sha256=hashlib.sha256(script).hexdigest(), env={"WIDTH": WIDTH, "STEPS": "20"}
    )
    train_text, documents = texts(size, LIMITS.lanes)
    with tempfile.TemporaryDirectory() as folder:
        work, module = Path(folder), example()
        given = Trial(
            entry=entry,
            seed=0,
            train_text=train_text,
            heldout=documents,
            private=True,
            limits=LIMITS,
            python=sys.executable,
            work=work,
            secret=0,
        )
        train(given, placed(given, Notes()), Notes())
        bare, wired, starts = [], [], []
        for _ in range(3):
            bare.append(in_process(module, given, documents))
            wired.append(over_the_wire(given, documents))
            starts.append(over_the_wire(given, [document[:1] for document in documents]))
    tell_all(bare, wired, starts, sum(map(len, documents)))


def tell_all(bare: list[Run], wired: list[Run], starts: list[Run], size: int) -> None:
    """The results. Overhead is told in processor time, which other programs on the machine do not change."""
    nll_sum = bare[0].nll_sum
    assert all(abs(run.nll_sum - nll_sum) < 1e-6 * nll_sum for run in wired), "both ways must score the same"
    seconds = median(run.seconds for run in wired)
    tell("predict.seconds", seconds, "s", SECONDS_LIMIT, seconds <= SECONDS_LIMIT, bytes=size, lanes=LIMITS.lanes)
    loop = median(run.cpu for run in bare)
    over = (median(run.cpu for run in wired) - median(run.cpu for run in starts)) / loop
    tell("predict.overhead", over, "ratio", OVERHEAD_LIMIT, over <= OVERHEAD_LIMIT, in_process_cpu_s=round(loop, 3))
    wall = median(run.rounds for run in wired) / median(run.rounds for run in bare)
    tell("predict.wall_ratio", wall, "ratio", load=os.getloadavg()[0])


if __name__ == "__main__":
    main()
