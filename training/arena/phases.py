"""The two phases of a trial, each in a fresh sandbox: train, and predict."""

import signal
from pathlib import Path
from time import perf_counter

from training.arena.blocks import predict_blocks
from training.arena.console import Console, Failed, listen
from training.arena.notes import Notes, Trial
from training.arena.protocol import BLOCK_PROTOCOL, Scored, greet, predict
from training.arena.sandbox import Box, Ending, Sandboxed, start
from training.arena.wire import Wire


def train(trial: Trial, script: Path, notes: Notes) -> Path:
    """Phase 1: the folder of what the script left behind. Raises Failed."""
    text, artifact = trial.work / "train.bin", trial.work / "artifact"
    text.write_bytes(trial.train_text)
    text.chmod(0o644)
    artifact.mkdir()
    artifact.chmod(0o755)
    arguments = ("/entry.py", "train", "/train.bin", "/tmp/artifact", str(trial.seed))
    box = boxed(trial, arguments, {"/entry.py": str(script), "/train.bin": str(text)}, artifact)
    console, began = Console(trial.limits.output_bytes), perf_counter()
    try:
        with start(box) as sandboxed:
            judge(listen(sandboxed, console, trial.limits.train_seconds), "training")
    finally:
        notes.found["train_seconds"] = perf_counter() - began
        notes.log += console.text()
        text.unlink()
    notes.passed("train", detail=f"{notes.found['train_seconds']:.2f} s")
    return artifact


def converse(trial: Trial, script: Path, artifact: Path, notes: Notes, *, stop_after: int | None = None) -> Scored:
    """Phase 2: a process that has the script and the artifact alone predicts. Raises Failed.

    stop_after: rounds after which it is left. What it prints is kept only where the text is public: it has seen it.
    """
    arguments = ("/entry.py", "predict", "/artifact", str(trial.seed))
    box = boxed(trial, arguments, {"/entry.py": str(script), "/artifact": str(artifact)}, None)
    console, deadline = Console(trial.limits.output_bytes), perf_counter() + trial.limits.predict_seconds
    try:
        with start(box) as sandboxed:
            wire = Wire(sandboxed, console, round_seconds=trial.limits.round_seconds, deadline=deadline)
            try:
                scored = talk(trial, wire, notes, stop_after)
                if stop_after is None:
                    judge(sandboxed.end(trial.limits.round_seconds), "prediction")
            except Failed as failed:
                raise explained(sandboxed, failed, trial.limits.round_seconds) from None
            finally:
                console.last_words(sandboxed.stderr)
    finally:
        if not trial.private:
            notes.log += console.text()
    return scored


def talk(trial: Trial, wire: Wire, notes: Notes, stop_after: int | None) -> Scored:
    """Speak the protocol that the entry answers with."""
    limits = trial.limits
    chosen = greet(wire, trial.heldout, limits.lanes)
    rounds = {"lanes": limits.lanes, "replayed": limits.replay_rounds, "stop_after": stop_after}
    if chosen == BLOCK_PROTOCOL:
        notes.mode = "block"
        return predict_blocks(wire, trial.heldout, secret=trial.secret, **rounds)  # type: ignore[arg-type]
    return predict(wire, trial.heldout, **rounds)  # type: ignore[arg-type]


def explained(sandboxed: Sandboxed, failed: Failed, seconds: float) -> Failed:
    """Why an entry stopped talking: how it ended, where it does within this time and that says more."""
    if failed.name != "short_rows" or (ending := sandboxed.end(seconds)).limit == "time_limit":
        return failed
    try:
        judge(ending, "prediction")
    except Failed as better:
        return better
    return failed


def judge(ending: Ending, phase: str) -> None:
    """Raise Failed unless the program ended well and left nothing forbidden."""
    if ending.limit:
        raise Failed(ending.limit, f"It went past a limit of {phase}.")
    if ending.exit == -signal.SIGSYS:
        raise Failed("forbidden_call", f"It made a system call that only an attack makes, in {phase}.")
    if ending.exit:
        how = f"with status {ending.exit}" if ending.exit > 0 else f"by signal {-ending.exit}"
        raise Failed("entry_failed", f"It ended {how} in {phase}.")
    if ending.export:
        raise Failed(ending.export, "Only plain files with plain names, few and small, may be left behind.")


def boxed(trial: Trial, arguments: tuple[str, ...], files: dict[str, str], export: Path | None) -> Box:
    """The sandbox of a phase."""
    return Box(
        python=trial.python,
        arguments=arguments,
        folder=trial.work / "box",
        limits=trial.limits,
        env=trial.entry.env,
        files=files,
        export=export,
    )
