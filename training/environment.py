"""The environment of a run: what besides recipe and seed can change a bit of its numbers."""

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from errors import Refusal


class EnvironmentChanged(Refusal):
    """Equal bits are promised within one environment only: start the run again from step 0, as a new attempt."""

    code = "environment_changed"
    status = 409


@dataclass(frozen=True, kw_only=True)
class Environment:
    """facts: name -> value, all text or numbers. Two environments with one digest give equal bits."""

    facts: Mapping[str, str | int]

    @property
    def canonical(self) -> str:
        """The facts as JSON: sorted, no spaces."""
        return json.dumps(dict(self.facts), sort_keys=True, separators=(",", ":"))

    @property
    def digest(self) -> str:
        """SHA-256 of `canonical`."""
        return hashlib.sha256(self.canonical.encode()).hexdigest()


NUMERICS = 2
"""Raised whenever this program gives other bits than before for some recipe: what runs then starts over."""


def environment() -> Environment:
    """The environment of this process now; runs are eager, on the CPU, in float32."""
    facts: dict[str, str | int] = {
        "numerics": NUMERICS,
        "device": "cpu",
        "execution": "eager",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "torch_build": hashlib.sha256(torch.__config__.show().encode()).hexdigest(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "mkl": str(torch.backends.mkl.is_available()),  # type: ignore[no-untyped-call]
        "onednn": str(torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled),  # type: ignore[no-untyped-call]
        "matmul_precision": torch.get_float32_matmul_precision(),
        "numpy": np.__version__,
        "pytorch_optimizer": version("pytorch-optimizer"),
        "schedulefree": version("schedulefree"),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "processor": processor(),
    }
    return Environment(facts=facts)


@cache
def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """What kernels are chosen by: the processor's model and instruction sets where Linux tells them."""
    if not cpuinfo.exists():
        return platform.processor()
    first = cpuinfo.read_text(encoding="utf-8").split("\n\n", 1)[0]
    pairs = (line.split(":", 1) for line in first.splitlines() if ":" in line)
    fields = {name.strip(): value.strip() for name, value in pairs}
    flags = hashlib.sha256(fields.get("flags", fields.get("Features", "")).encode()).hexdigest()[:16]
    return " ".join(
        [fields.get("model name", ""), fields.get("cpu family", ""), fields.get("model", ""), flags]
    ).strip()
