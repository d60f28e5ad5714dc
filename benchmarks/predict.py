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
from pathlib import Path
from statistics import median
from time import perf_counter
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
from training.arena.protocol import Scored, columns, greet, predict, waves
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


def over_the_wire(given: Trial, work: Path) -> tuple[float, float, Scored]:
    """Seconds from the start, seconds of the rounds alone, and the score."""
    limits, began = given.limits, perf_counter()
    files = {"/entry.py": str(work / "entry.py"), "/artifact": str(work / "artifact")}
    box = boxed(given, ("/entry.py", "predict", "/artifact", "0"), files, None)
    with start(box) as sandboxed:
        deadline = perf_counter() + limits.predict_seconds
        wire = Wire(sandboxed, Console(limits.output_bytes), round_seconds=limits.round_seconds, deadline=deadline)
        greet(wire, given.heldout, limits.lanes)
        ready = perf_counter()
        scored = predict(wire, given.heldout, lanes=limits.lanes, replayed=0)
        return perf_counter() - began, perf_counter() - ready, scored


@torch.inference_mode()
def in_process(module: ModuleType, work: Path, documents: list[bytes], lanes: int) -> tuple[float, float]:
    """Seconds of the same model over the same lanes with nothing between, and the sum of its losses."""
    model = module.Model()
    model.load_state_dict(module.load_file(work / "artifact/model.safetensors"))
    began, total = perf_counter(), []
    for wave in waves(documents, lanes):
        text = torch.from_numpy(columns(wave)[0].astype(np.int64))
        state, byte = torch.zeros(len(wave), module.WIDTH), torch.full((len(wave),), ord("\n"))
        for told in text:
            state, logp = model(state, byte)
            total.append(-logp.gather(1, told[:, None]).double().sum())
            byte = told
    return perf_counter() - began, float(torch.stack(total).sum())


def main() -> None:
    """Train the example once, then predict both ways in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="64 KiB in place of 256")
    size, lanes = (64 if parser.parse_args().quick else 256) * 1024, 256
    if reason := why_not():
        sys.exit(f"no sandbox here: {reason}")
    torch.set_num_threads(min(LIMITS.threads, os.cpu_count() or 1))
    script = EXAMPLE.read_bytes()
    entry = Entry(
        name="example", script=script, sha256=hashlib.sha256(script).hexdigest(), env={"WIDTH": WIDTH, "STEPS": "20"}
    )
    train_text, documents = texts(size, lanes)
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
        wired, bare = [], []
        for _ in range(3):
            bare.append(in_process(module, work, documents, lanes))
            wired.append(over_the_wire(given, work))
    whole, rounds, nll = (median(run[0] for run in wired), median(run[1] for run in wired), wired[0][2].nll_sum)
    loop, other = median(run[0] for run in bare), bare[0][1]
    assert abs(nll - other) < 1e-6 * nll, "both ways must score the same"
    detail = {"bytes": sum(map(len, documents)), "lanes": lanes, "bpb": round(wired[0][2].bpb, 4)}
    tell("predict.seconds", whole, "s", SECONDS_LIMIT, whole <= SECONDS_LIMIT, **detail)
    tell("predict.overhead", rounds / loop, "ratio", OVERHEAD_LIMIT, rounds / loop <= OVERHEAD_LIMIT, in_process_s=loop)


if __name__ == "__main__":
    main()
