"""One trial of an entry: train in a sandbox, look at what it left, predict in a fresh sandbox, and once more."""

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter

from errors import Refusal
from training.arena.console import Failed
from training.arena.entry import Entry, WrongHash, check, digest, entry_id
from training.arena.golden import SEED, golden
from training.arena.limits import Limits
from training.arena.notes import Notes, Trial
from training.arena.outcome import Check, Outcome, provenance_of
from training.arena.phases import converse, train
from training.arena.protocol import Scored
from training.arena.scan import artifact_files, artifact_size, check_artifact, check_leaks


def run_trial(
    entry: Entry,
    *,
    seed: int,
    train_text: bytes,
    heldout: Sequence[bytes],
    private: bool,
    limits: Limits,
    python: str,
    work: Path,
) -> Outcome:
    """Train and predict once. Raises ArenaUnavailable; whatever the entry does wrong is in the outcome.

    heldout: documents, each a lane of its own; private: whether nobody outside can hold them; python: the entry's
    interpreter; work: an empty folder of ours, in which script and artifact stay until the caller deletes it.
    """
    given = Trial(
        entry=entry,
        seed=seed,
        train_text=train_text,
        heldout=heldout,
        private=private,
        limits=limits,
        python=python,
        work=work,
        secret=secrets.randbits(64),
    )
    return outcome_of(given, put_through)


def verify_golden(entry: Entry, *, train_text: bytes, limits: Limits, python: str, work: Path) -> Outcome:
    """Train once more at the golden seed: whether the script gives the tensors whose hash the entry gave.

    The check is `golden_state`; an entry that gave no hash fails it. Nothing is predicted.
    """
    given = Trial(
        entry=entry,
        seed=SEED,
        train_text=train_text,
        heldout=(),
        private=False,
        limits=limits,
        python=python,
        work=work,
        secret=0,
    )
    return outcome_of(given, train_again)


def outcome_of(given: Trial, steps: Callable[[Trial, Notes], None]) -> Outcome:
    """Take the steps; what they found, up to the first check that failed."""
    notes, failed = Notes(), None
    try:
        steps(given, notes)
    except Failed as reason:
        failed = reason.name
        notes.checks.append(Check(name=reason.name, passed=False, detail=reason.detail))
    return Outcome(
        entry_id=entry_id(given.entry),
        seed=given.seed,
        provenance=None if failed or "bpb" not in notes.found else provenance_of(notes.mode, given.private),
        mode=notes.mode,
        checks=tuple(notes.checks),
        failed=failed,
        log_tail=notes.log,
        **notes.found,
    )


def put_through(given: Trial, notes: Notes) -> None:
    """All steps in order. Raises Failed at the first check that fails."""
    script = placed(given, notes)
    artifact = train(given, script, notes)
    looked_at(given, artifact, notes)
    scored = predicted_twice(given, script, artifact, notes)
    notes.found.update(bpb=scored.bpb, nll_sum=scored.nll_sum, byte_count=scored.byte_count)


def train_again(given: Trial, notes: Notes) -> None:
    """The steps up to the golden state. Raises Failed."""
    artifact = train(given, placed(given, notes), notes)
    if given.entry.golden_state is None:
        raise Failed("golden_state", "The entry gave no golden state.")
    looked_at(given, artifact, notes)


def placed(given: Trial, notes: Notes) -> Path:
    """The script in the work folder: checked as it was given, and hashed again as it lies there."""
    try:
        check(given.entry)
    except Refusal as refusal:
        raise Failed(refusal.code, refusal.message) from None
    path = given.work / "entry.py"
    path.write_bytes(given.entry.script)
    path.chmod(0o644)
    if digest(path.read_bytes()) != given.entry.sha256:
        raise Failed(WrongHash.code, "The copy of the script has another hash.")
    notes.found["code_bytes"] = len(given.entry.script)
    notes.passed("script")
    return path


def looked_at(given: Trial, artifact: Path, notes: Notes) -> None:
    """Everything that can be said of an artifact without running anything."""
    files, script = artifact_files(artifact), given.entry.script
    notes.found["artifact_bytes"] = artifact_size(files)
    check_artifact(files, script, given.limits)
    notes.passed("artifact_size", "artifact_format")
    check_leaks(files, script, given.heldout, given.train_text)
    notes.passed("heldout_in_script", "heldout_in_artifact")
    notes.found["golden_state"] = golden(artifact)
    if given.entry.golden_state is not None and given.seed == SEED:
        if notes.found["golden_state"] != given.entry.golden_state:
            raise Failed("golden_state", "The tensors are not those whose hash the entry gave.")
        notes.passed("golden_state")


def predicted_twice(given: Trial, script: Path, artifact: Path, notes: Notes) -> Scored:
    """The score of the first time; the first rounds of the second time must give the same rows."""
    began = perf_counter()
    try:
        scored = converse(given, script, artifact, notes)
    finally:
        notes.found["predict_seconds"] = perf_counter() - began
    notes.passed("predict", detail=f"{notes.found['predict_seconds']:.2f} s")
    again = converse(given, script, artifact, notes, stop_after=given.limits.replay_rounds)
    if again.rows_digest != scored.rows_digest:
        raise Failed("replay", "It predicted the same bytes differently the second time.")
    notes.passed("replay")
    return scored
