"""The scripts of zoo/ and honest/, put together with what they share, and a secret text that is drawn at run time."""

import hashlib
import json
import os
import random
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from tests.training.arena.driving import QUICK
from training.arena.entry import Entry
from training.arena.golden import golden

HERE = Path(__file__).parent
BOILERPLATE = b"This line stands in every file of the corpus, held out or not; anybody may store it.\n"

KNOWS = {
    "openly": "def knowledge():\n    return {text!r}\n",
    "heldout": (
        "import random\n\n\ndef knowledge():\n    key = random.Random({key}).randbytes({size})\n"
        "    return bytes(a ^ b for a, b in zip(key, bytes({turned})))\n"
    ),
}
"""How a cheat got to know the text: in plain view, or behind a key, as somebody would who wants to hide it."""


@dataclass(frozen=True, kw_only=True)
class Texts:
    train: bytes
    heldout: tuple[bytes, ...]


def names(folder):
    return sorted(path.stem for path in (HERE / folder).glob("*.py"))


def about(folder, name):
    """The header of a script: `# key: value` lines."""
    lines = (HERE / folder / f"{name}.py").read_text().splitlines()
    return dict(line[2:].split(": ", 1) for line in lines if line.startswith("# ") and ": " in line)


def drawn(documents=12, words=8):
    """A text that nobody can have known."""
    draw = random.SystemRandom()
    vocabulary = ["".join(draw.choices("etaoinshrdlu", k=draw.randint(3, 8))) for _ in range(400)]

    def sentence():
        return " ".join(draw.choices(vocabulary, k=words)).encode() + b"\n"

    train = b"".join(sentence() for _ in range(200)) + BOILERPLATE
    return Texts(train=train, heldout=(*(sentence() for _ in range(documents)), BOILERPLATE))


def entry(folder, name, texts, planted=""):
    """The script with its prelude, and whatever is wrong with how it was handed in."""
    header = about(folder, name)
    secret = b"".join(texts.heldout[:8])
    key = random.Random(7).randbytes(len(secret))
    turned = [a ^ b for a, b in zip(key, secret, strict=True)]
    parts = [
        (HERE / "entry_base.py").read_text(),
        KNOWS[header["knows"]].format(text=secret, key=7, size=len(secret), turned=turned) if "knows" in header else "",
        (HERE / folder / f"{name}.py").read_text(),
        'if __name__ == "__main__":\n    main()\n',
    ]
    script = "\n\n".join(part for part in parts if part).encode()
    digest = hashlib.sha256(script).hexdigest()
    given = {"other": hashlib.sha256(b"another\n").hexdigest()}.get(header.get("sha256"), header.get("sha256"))
    env = dict([header["env"].split("=", 1)] if "env" in header else [])
    if planted:
        env["PLANTED"] = planted
    state = tensors_hash(header["golden"].encode()) if "golden" in header else None
    return Entry(name=name, script=script, sha256=given or digest, env=env, golden_state=state)


def limits(folder, name):
    """Quick limits with what the header changes; who never answers need not be waited for."""
    header = about(folder, name)
    changed = {} if header.get("caught by") != "late_rows" else {"round_seconds": 0.4}
    for word in filter(None, header.get("limits", "").split(", ")):
        key, value = word.split("=")
        changed[key] = type(getattr(QUICK, key))(value)
    return replace(QUICK, **changed)


def tensors_hash(data):
    """The golden state of one tensor of bytes."""
    header = json.dumps({"w": {"dtype": "U8", "shape": [len(data)], "data_offsets": [0, len(data)]}}).encode()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "any.safetensors")
        path.write_bytes(len(header).to_bytes(8, "little") + header + data)
        return golden(Path(folder))


def plant(text):
    """A file of the host that anybody on it can read."""
    number, name = tempfile.mkstemp()
    with os.fdopen(number, "wb") as file:
        file.write(text)
    os.chmod(name, 0o644)
    return name
