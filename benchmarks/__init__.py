"""Benchmarks: each file runs alone, prints one JSON object a line on stdout and a table for people on stderr."""

import json
import platform
import sys
from typing import Any


def tell(name: str, value: float, unit: str, limit: float | None = None, ok: bool | None = None, **detail: Any) -> None:
    """One result: JSON on stdout, a line for people on stderr. ok is None where nothing is promised."""
    line = {
        "name": name,
        "value": round(value, 6),
        "unit": unit,
        "limit": limit,
        "ok": ok,
        "detail": {**detail, "machine": f"{platform.machine()}, Python {platform.python_version()}"},
    }
    print(json.dumps(line), flush=True)
    verdict = {True: "ok", False: "MISSED", None: ""}[ok]
    bound = f"limit {limit:g}" if limit is not None else ""
    print(f"{name:32} {value:12.4g} {unit:8} {bound:12} {verdict}", file=sys.stderr, flush=True)
