"""Nanoseconds of quantising a float32, a row a format, beside a table search, torch's casts, torchao and a plain copy.

`.venv/bin/python benchmarks/quantize.py [--quick] [--threads N] [--formats ID ...]`. On the CPU two threads, and ratios
of interleaved runs; with one thread processor time is taken, which a busy machine does not spoil. Every form makes a
new tensor. `quantize.cpu_speedup` is the median over class A formats of a `torch.bucketize` search on the midpoints and
a gather, over ours, on 16 Mi values. Where torchao is installed (extra `bench`) its own quantise and dequantise runs
beside ours. On an NVIDIA GPU `quantize.gpu_bandwidth` is the worst class A format over a device copy of 64 Mi values,
and `torch.compile` of the PyTorch form stands beside the Triton form.
"""

import argparse
import importlib.util
import math
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import torch
from torch import Tensor

from benchmarks import tell
from kernels import scaling
from kernels.formats import Format, format_named, formats
from kernels.kinds import kind_of
from kernels.quantize import quantize

Work = Callable[[], Any]


def interleaved(works: Sequence[Work], rounds: int) -> list[float]:
    """Seconds of each, the least of the rounds; every round runs all of them, so a busy machine slows them alike."""
    clock = process_time if torch.get_num_threads() == 1 else perf_counter
    least = [math.inf] * len(works)
    for turn in range(rounds + 1):
        for index, work in enumerate(works):
            began = clock()
            work()
            if turn:
                least[index] = min(least[index], clock() - began)
    return least


def searched(format: Format, x: Tensor) -> Work:
    """The table search: midpoints, gather, under the same scale of the tensor."""
    value = torch.tensor([float(value) for value in kind_of(format).values(format)], dtype=torch.float64)
    middle, value = ((value[1:] + value[:-1]) / 2).float(), value.float()
    if format.defaults.scaling == "none":
        return lambda: value[torch.bucketize(x, middle)]

    def work() -> Tensor:
        s = scaling.scale(format, x, format.defaults.scaling)
        return value[torch.bucketize(x / s, middle)] * s

    return work


def class_a() -> list[Format]:
    """The formats of class A that a search of at most 65536 values can do: no blocks, no zero points."""
    simple = ("none", "pow2", "amax")
    return [
        f
        for f in formats.values()
        if f.precision_class == "A" and f.bits <= 16 and f.block is None and f.defaults.rounding != "sr"
        if f.defaults.scaling in simple and "scale" not in f.parameters
    ]


def cpu(names: Sequence[str], count: int, rounds: int) -> None:
    """A row a format, and the median speed-up."""
    x = torch.randn(count, generator=torch.Generator().manual_seed(0))
    ratios = []
    searchable = {f.id for f in class_a()}
    for f in [format_named(name) for name in names] or formats.values():
        if f.precision_class in ("C", "D"):
            continue
        works: list[Work] = [lambda f=f: quantize(x, f)]
        works += [searched(f, x)] if f.id in searchable else []
        took = interleaved(works, rounds)
        detail = {}
        if len(took) == 2:
            ratios.append(took[1] / took[0])
            detail = {"search_ns": round(1e9 * took[1] / count, 2), "speedup": round(ratios[-1], 2)}
        tell(f"quantize.{f.id}", 1e9 * took[0] / count, "ns/value", **detail)
    if ratios:
        speedup = median(ratios)
        detail = {"worst": round(min(ratios), 2), "formats": len(ratios), "values": count}
        tell("quantize.cpu_speedup", speedup, "x", 3.0, speedup >= 3.0, **detail)


def against_torch(count: int, rounds: int) -> None:
    """Torch's cast there and back, over ours; above 1 ours is faster."""
    x = torch.randn(count)
    casts = {
        "fp16": torch.float16, "bf16": torch.bfloat16, "fp8_e5m2": torch.float8_e5m2, "fp8_e4m3": torch.float8_e4m3fn,
    }  # fmt: skip
    for name, dtype in casts.items():
        ours, theirs = interleaved([lambda n=name: quantize(x, n), lambda d=dtype: x.to(d).float()], rounds)
        tell(f"quantize.torch_over_ours.{name}", theirs / ours, "x", theirs_ns=round(1e9 * theirs / count, 2))


def against_torchao(count: int, rounds: int) -> None:
    """torchao's quantise and dequantise over ours, where it is installed; not slower is what is asked."""
    if importlib.util.find_spec("torchao") is None:
        print("torchao is not installed; its rows are left out", file=sys.stderr)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torchao.prototype.custom_fp_utils import _f32_to_floatx_unpacked, _floatx_unpacked_to_f32
        from torchao.prototype.mx_formats.mx_tensor import MXTensor
    x = torch.randn(count // 1024, 1024)
    theirs: dict[str, Work] = {
        f"fp{1 + E + M}_e{E}m{M}": lambda E=E, M=M: _floatx_unpacked_to_f32(_f32_to_floatx_unpacked(x, E, M), E, M)
        for E, M in ((3, 2), (2, 3), (2, 1))
    }
    blocks = {"mxfp8": torch.float8_e4m3fn, "mxfp4": torch.float4_e2m1fn_x2}
    for name, element in blocks.items():
        theirs[name] = lambda e=element: MXTensor.to_mx(x.bfloat16(), e, 32).dequantize(torch.float32)
    for name, work in theirs.items():
        if name in formats:
            ours, other = interleaved([lambda n=name: quantize(x, n), work], rounds)
            ratio = other / ours
            tell(f"quantize.torchao_over_ours.{name}", ratio, "x", 1.0, ratio >= 1.0, ns=round(1e9 * ours / count, 2))


def milliseconds(work: Work, rounds: int) -> float:
    """Median of device times."""
    times = []
    for turn in range(rounds + 3):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        work()
        end.record()
        torch.cuda.synchronize()
        times += [begin.elapsed_time(end)] if turn >= 3 else []
    return median(times)


def gpu(names: Sequence[str], count: int, rounds: int) -> None:
    """A row a class A format: Triton and compiled, as shares of the speed of a device copy."""
    x = torch.randn(count, device="cuda")
    out = torch.empty_like(x)
    chosen = [format_named(name) for name in names] or [f for f in formats.values() if f.precision_class == "A"]
    shares = {}
    for f in chosen:
        switches = f.switches()
        copy = milliseconds(lambda: out.copy_(x), rounds)
        took = milliseconds(lambda f=f: quantize(x, f, out=out), rounds)
        shares[f.id] = copy / took
        detail = {"device": torch.cuda.get_device_name(), "ms": round(took, 4), "copy_ms": round(copy, 4)}
        if switches.scaling == "none" and switches.rounding != "sr":
            compiled = torch.compile(lambda z, f=f, s=switches: kind_of(f).fast(f, z, s))
            detail["compiled_share"] = round(copy / milliseconds(lambda c=compiled: c(x), rounds), 3)
        tell(f"quantize.gpu.{f.id}", copy / took, "of copy", **detail)
    worst = min(shares, key=lambda name: shares[name])
    tell("quantize.gpu_bandwidth", shares[worst], "of copy", 0.85, shares[worst] >= 0.85, worst=worst, values=count)


def main() -> None:
    """All that this machine can measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="1 Mi values instead of 16, fewer rounds")
    parser.add_argument("--formats", nargs="*", default=[], help="ids; all where none is named")
    parser.add_argument("--threads", type=int, default=2, help="with one, processor time is taken")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    count, rounds = (1 << 20, 2) if given.quick else (1 << 24, 3)
    cpu(given.formats, count, rounds)
    against_torch(count, rounds)
    against_torchao(count, rounds)
    if torch.cuda.is_available():
        gpu(given.formats, 1 << 26, 20)


if __name__ == "__main__":
    main()
