"""Tracks: contests for entries, as data. One JSON file a track; its name is the track's.

{"about": "...", "source": "...", "hardware": "...", "corpus": "stdlib", "heldout": "public", "seeds": [1597],
 "limits": {"train_seconds": 120}, "gates": [{"name": "G1", "below": 2.5, "of": "each"}]}

corpus: `stdlib`, `kind:where` as in `training.corpora`, or the digest of a corpus that the server holds. limits: of one
trial, see `training.arena.limits`; what is left out has its default. A file of the operator's with a name from here
takes that one's place.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

from errors import Refusal, shown
from training.arena.limits import Limits
from training.corpus import Heldout

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
OWN = Path(__file__).parent
PROTOCOL = "igla-predict/1"


class BadTrack(Refusal):
    """Correct the track's file; docs/arena.md tells its fields."""

    code = "bad_track"
    status = 422


@dataclass(frozen=True, kw_only=True)
class Gate:
    """A threshold: the value of each seed, or their mean, lies strictly below it."""

    name: str
    below: float
    of: Literal["each", "mean"] = "each"


@dataclass(frozen=True, kw_only=True)
class Track:
    """What is fixed for all entries. validation_bytes, test_bytes: held-out text where the corpus is built here."""

    name: str
    about: str
    source: str = ""
    hardware: str = ""
    corpus: str
    heldout: Heldout = "public"
    validation_bytes: int = 64 * 1024
    test_bytes: int = 256 * 1024
    seeds: tuple[int, ...]
    limits: Limits = field(default_factory=Limits)
    gates: tuple[Gate, ...] = ()


@dataclass(frozen=True, kw_only=True)
class GateVerdict:
    """A gate, whether it is met, and the values that this rests on."""

    name: str
    below: float
    of: str
    met: bool
    values: tuple[float, ...]


def tracks(own: Path | None = None) -> dict[str, Track]:
    """Every track by name, in alphabetical order; `own` is the operator's folder. Raises BadTrack."""
    folders = [OWN, *([own] if own is not None else [])]
    files = {file.stem: file for folder in folders for file in sorted(folder.glob("*.json"))}
    return {name: track_at(files[name], written_at(files[name])) for name in sorted(files)}


def written_at(file: Path) -> tuple[int, int]:
    """What tells that a file is another one than before."""
    found = file.stat()
    return found.st_mtime_ns, found.st_size


@lru_cache(maxsize=256)
def track_at(file: Path, _written: tuple[int, int]) -> Track:
    """The track of a file, read again when it is written again: every call of the board asks for all tracks."""
    return track_from(file.stem, file.read_bytes())


def track_from(name: str, data: bytes) -> Track:
    """A track from the text of its file. Raises BadTrack."""
    try:
        given = json.loads(data)
        values = dict(given)
        values["limits"] = numbers(Limits(**values.get("limits", {})))
        values["gates"] = tuple(Gate(**one) for one in values.get("gates", []))
        values["seeds"] = tuple(values["seeds"])
        track = Track(**{**values, "name": name})
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise BadTrack(f"The file of track {shown(name)} cannot be read: {shown(str(error))}.") from None
    check(track, given)
    return track


def numbers(limits: Limits) -> Limits:
    """Limits whose values have the types that they should have. Raises ValueError."""
    for each in fields(limits):
        value = getattr(limits, each.name)
        wanted = (int, float) if each.type is float else (int,)
        if type(value) not in wanted or not 0 < value < 2**63:
            raise ValueError(f"limits.{each.name} cannot be {shown(value)}")
    return limits


def check(track: Track, given: Mapping[str, Any]) -> None:
    """Raise BadTrack where a value cannot be."""
    texts = (track.about, track.source, track.hardware, track.corpus)
    sizes = (track.validation_bytes, track.test_bytes)
    rules = {
        "name": NAME.fullmatch(track.name) is not None and "name" not in given,
        "about": all(isinstance(text, str) for text in texts) and track.about != "" and track.corpus != "",
        "heldout": track.heldout in get_args(Heldout),
        "validation_bytes": all(type(size) is int and 1024 <= size < 2**40 for size in sizes),
        "seeds": 0 < len(track.seeds) == len(set(track.seeds)) and all(is_seed(seed) for seed in track.seeds),
        "gates": all(is_gate(gate) for gate in track.gates),
    }
    for name, holds in rules.items():
        if not holds:
            raise BadTrack(f"{name} of track {shown(track.name)} cannot be what the file says.")


def is_seed(value: object) -> bool:
    """Whether a value is a seed that the store can hold."""
    return type(value) is int and 0 <= value < 2**63


def is_gate(gate: Gate) -> bool:
    """Whether a gate has a name and a number of bits per byte."""
    below = gate.below
    return isinstance(gate.name, str) and type(below) in (int, float) and 0 < below < 8 and gate.of in ("each", "mean")


def contest(track: Track, corpus: str) -> str:
    """Digest of all that makes runs of a track comparable: its name, corpus and limits, and the protocol."""
    fixed = {"track": track.name, "corpus": corpus, "limits": asdict(track.limits), "protocol": PROTOCOL}
    return hashlib.sha256(json.dumps(fixed, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def verdicts(gates: Sequence[Gate], values: Sequence[float]) -> list[GateVerdict]:
    """Which gates are met by the values of all seeds. Without a value none is. Pure."""
    return [
        GateVerdict(name=gate.name, below=gate.below, of=gate.of, met=is_met(gate, values), values=tuple(values))
        for gate in gates
    ]


def is_met(gate: Gate, values: Sequence[float]) -> bool:
    """Whether the values of all seeds meet a gate, strictly. NaN meets none."""
    if not values:
        return False
    if gate.of == "mean":
        return sum(values) / len(values) < gate.below
    return all(value < gate.below for value in values)
