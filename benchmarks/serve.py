"""How soon the server answers: process start to `/readyz` 200, with a fresh database and with an existing one."""

import sys
import tempfile
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

import httpx

from benchmarks import tell
from tests.serving import serving


def ready_seconds(data: Path) -> float:
    """Seconds from process start to the first 200 of `/readyz`."""
    began = time.perf_counter()
    with serving(data, "--engines", "0", fresh=True) as server:
        assert httpx.get(f"{server.url}/readyz").status_code == 200
        return time.perf_counter() - began


def main() -> None:
    """Medians of several starts."""
    rounds = 3 if "--quick" in sys.argv else 9
    with tempfile.TemporaryDirectory() as folder:
        ready_seconds(Path(folder) / "warm")  # compiles bytecode
        fresh = [ready_seconds(Path(folder) / str(number)) for number in range(rounds)]
        again = [ready_seconds(Path(folder) / "0") for _ in range(rounds)]
    for name, values in (("serve.ready_s", again), ("serve.first_ready_s", fresh)):
        tell(name, median(values), "s", 3.0, median(values) < 3.0, rounds=rounds, worst=round(max(values), 3))


if __name__ == "__main__":
    main()
