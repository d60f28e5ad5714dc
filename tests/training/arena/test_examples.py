"""The examples of the documentation are entries that come through."""

import hashlib
import re
import sys
from pathlib import Path

import pytest

from tests.training.arena import driving, scripts
from training.arena.entry import Entry
from training.arena.limits import Limits
from training.arena.sandbox import why_not
from training.arena.trial import run_trial

DOCS = Path(__file__).resolve().parents[3] / "docs"
LIMITS = Limits(train_seconds=120.0, predict_seconds=120.0, threads=1)


@pytest.mark.parametrize("path", sorted((DOCS / "examples").glob("predict_*.py")), ids=lambda path: path.stem)
def test_an_example_is_measured_and_learns(path):
    if reason := why_not():
        pytest.skip(f"no sandbox here: {reason}")
    script, texts = path.read_bytes(), scripts.drawn(words=20)
    entry = Entry(
        name="example", script=script, sha256=hashlib.sha256(script).hexdigest(), env={"WIDTH": "16", "STEPS": "30"}
    )
    outcome = driving.trial(
        entry,
        seed=1597,
        train_text=texts.train,
        heldout=texts.heldout,
        private=True,
        limits=LIMITS,
        python=sys.executable,
    )
    assert outcome.failed is None, outcome
    assert outcome.provenance == "measured"
    assert outcome.bpb < 6


def test_every_check_is_told_in_the_documentation():
    text = (DOCS / "igla-predict.md").read_text()
    caught = {scripts.about("zoo", name)["caught by"] for name in scripts.names("zoo")}
    for path in Path(run_trial.__code__.co_filename).parent.glob("*.py"):
        caught.update(re.findall(r'(?:Failed\(|return |wrong = |code = |name = )"([a-z]+_[a-z_]+)"', path.read_text()))
    assert len(caught) > 25
    assert [name for name in sorted(caught) if f"`{name}`" not in text] == []
