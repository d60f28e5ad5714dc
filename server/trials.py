"""Trials of this machine: an entry, a corpus and a track's limits, in a folder that is gone afterwards."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from training.arena.entry import Entry
from training.arena.limits import Limits
from training.arena.outcome import Outcome
from training.arena.trial import run_trial
from training.corpus import Corpus

SPLIT = "validation"
"""The held-out text that entries predict; the test split is for records."""


def tried(
    entry: Entry, corpus: Corpus, *, private: bool, limits: Limits, seed: int, python: str, home: Path
) -> Outcome:
    """Train and predict once. home: the folder that the trial's own folder is made in. Raises ArenaUnavailable."""
    with folder(home) as work:
        return run_trial(
            entry,
            seed=seed,
            train_text=corpus.split("train"),
            heldout=corpus.documents(SPLIT),
            private=private,
            limits=limits,
            python=python,
            work=work,
        )


@contextmanager
def folder(home: Path) -> Iterator[Path]:
    """A folder for one trial, gone at the end."""
    home.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=home))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
