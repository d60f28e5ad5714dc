"""What tests of the arena share: entries, and a track on a private corpus that is drawn in the test."""

import hashlib
import json

from tests.remote import small_corpus

SEEDS = [3, 5]
SCRIPT = "print('hello')\n"


def sha256(script):
    return hashlib.sha256(script.encode(errors="replace")).hexdigest()


def entered(script=SCRIPT, name="tiny", **changes):
    """Arguments of submit_entry."""
    return {"name": name, "script": script, "sha256": sha256(script), **changes}


def track_file(runtime, name="secret", heldout="private", corpus=None, seeds=SEEDS, limits=None, **changes):
    """A track of the operator's, by default on a private corpus of a few ten thousand bytes. Gives its name."""
    folder = runtime.settings.data / "tracks"
    folder.mkdir(exist_ok=True)
    corpus = corpus or small_corpus(runtime, heldout)
    small = {"train_seconds": 20, "predict_seconds": 20, "memory_bytes": 2**30, **(limits or {})}
    track = {"about": "a test", "corpus": corpus, "heldout": heldout, "seeds": seeds, "limits": small, **changes}
    (folder / f"{name}.json").write_text(json.dumps(track))
    return name
