"""`igla generate`: let a checkpoint go on with a text."""

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from errors import Refusal, shown
from server.settings import Settings
from training.artifact_places import open_artifacts
from training.artifacts import DIGEST
from training.generate import Drawing, generate
from training.serving import served
from training.session import Session


class NoCheckpoint(Refusal):
    """Name a checkpoint by its file, or by the digest of an artifact in the data folder (`--data`)."""

    code = "no_checkpoint"
    status = 404


class PromptUnreadable(Refusal):
    """Give a file with `--prompt-file`, `-` for standard input, or the text itself with `--prompt`."""

    code = "prompt_unreadable"
    status = 422


def generate_command(
    settings: Settings, checkpoint: str, prompt: bytes, count: int, drawing: Drawing, seed: int, *, still: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Read the prompt, draw `count` bytes and write each as it is drawn; with `as_json`, one object at the end.

    One thread: a byte is too little work for more.
    """
    import torch

    torch.set_num_threads(1)
    model = served(checkpoint_bytes(settings, checkpoint), still=still)
    session = Session.new_test(model, max(1, len(prompt) + count), seed)
    session.prefill(prompt)
    drawn = generate(session, count, drawing)
    if as_json:
        print(json.dumps(summary(session, prompt, bytes(drawn))))  # noqa: T201
    else:
        stream(drawn)


def checkpoint_bytes(settings: Settings, name: str) -> bytes:
    """A checkpoint by file or digest. Raises NoCheckpoint, ArtifactMissing, ArtifactCorrupt."""
    file = Path(name)
    if file.is_file():
        return file.read_bytes()
    if not DIGEST.fullmatch(name):
        raise NoCheckpoint(f"{shown(name)} is neither a file nor a digest.")
    place = open_artifacts(settings.artifact_place)
    if name not in place:
        raise NoCheckpoint(f"There is no artifact {name} in {settings.artifact_place}.")
    return place.get(name)


def prompt_bytes(text: str, file: str | None) -> bytes:
    """The prompt as bytes; an option's bytes that are no UTF-8 stay what they were. Raises PromptUnreadable."""
    if file is None:
        return os.fsencode(text)
    if text:
        raise PromptUnreadable("There are two prompts.")
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise PromptUnreadable(f"{shown(file)} cannot be read: {error.strerror}.") from None


def stream(drawn: Iterator[int]) -> None:
    """Write each byte at once. Whoever reads may stop reading: that ends it."""
    try:
        for byte in drawn:
            sys.stdout.buffer.write(bytes([byte]))
            sys.stdout.buffer.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def summary(session: Session, prompt: bytes, drawn: bytes) -> dict[str, object]:
    """What was drawn, and how long it took. text replaces what is no UTF-8; hex is exact."""
    return {
        "checkpoint": session.served.checkpoint,
        "prompt_bytes": len(prompt),
        "text": drawn.decode(errors="replace"),
        "hex": drawn.hex(),
        "state_bytes": session.state_bytes,
        "decode": asdict(session.tokens.figures()),
        "prefill": asdict(session.parts.figures()),
    }
