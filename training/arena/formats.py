"""What an artifact may be made of: files of plain data, told by their names and their first bytes. Pure."""

import io
import pickletools
from itertools import islice

from training.arena.golden import NotTensors, tensors_of

DATA = (".safetensors", ".npy", ".json", ".txt", ".bin")
PROGRAMS = frozenset({"GLOBAL", "STACK_GLOBAL", "INST", "OBJ", "REDUCE", "BUILD", "NEWOBJ", "NEWOBJ_EX"})
"""Instructions by which a pickle runs code."""

MOST = 100_000
"""Instructions that are looked at; no other data reads as so many."""

MAGIC = {b"\x7fELF": "a program", b"PK\x03\x04": "a zip file", b"!<arch>": "a library", b"\0asm": "a program"}


def wrong_format(name: str, data: bytes) -> str | None:
    """Our words for what is wrong with a file, or None."""
    kind = next((kind for kind in DATA if name.endswith(kind)), None)
    if kind is None:
        return f"a file is none of {', '.join(DATA)}"
    for magic, what in MAGIC.items():
        if data.startswith(magic):
            return f"a {kind} file is {what}"
    if is_pickle(data):
        return f"a {kind} file is a pickle"
    if kind == ".safetensors" and not is_tensors(data):
        return "a .safetensors file is none"
    if kind == ".npy" and not is_plain_array(data):
        return "a .npy file holds objects, or is none"
    return None


def is_pickle(data: bytes) -> bool:
    """Whether the data begins with a whole pickle that would run code; a zip file of them is refused as a zip file."""
    names, last = set(), 0
    try:
        for operation, _, place in islice(pickletools.genops(io.BytesIO(data)), MOST):
            names.add(operation.name)
            last = place or 0
        if "STOP" in names and names & PROGRAMS:
            pickletools.dis(data[: last + 1], out=io.StringIO())
    except Exception:
        return False
    return bool(names & PROGRAMS)


def is_tensors(data: bytes) -> bool:
    """Whether every byte belongs to the header or a tensor."""
    try:
        tensors_of(data)
    except NotTensors:
        return False
    return True


def is_plain_array(data: bytes) -> bool:
    """Whether this is an array file without Python objects, whose header says so."""
    if not data.startswith(b"\x93NUMPY") or len(data) < 12:
        return False
    size = int.from_bytes(data[8:10], "little") if data[6] == 1 else int.from_bytes(data[8:12], "little")
    return b"O" not in data[10 : 12 + size].partition(b"'descr':")[2].partition(b",")[0]
