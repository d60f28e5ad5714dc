"""What `igla track` does: a trial on this machine, and a track's board."""

import asyncio
import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from errors import InvalidValue, unknown
from server.runtime import open_runtime
from server.settings import Settings
from server.toolbox import call, toolbox
from server.trials import tried
from training.arena.entry import Entry, check
from training.arena.sandbox import ArenaUnavailable
from training.arena.tracks import Track, contest, tracks, verdicts
from training.corpus import Corpus, refuse_overlap


def known(settings: Settings) -> dict[str, Track]:
    """Every track by name."""
    return tracks(settings.data.resolve() / "tracks")


def named(settings: Settings, name: str) -> Track:
    """A track by name. An unknown one is refused with the nearest known one."""
    found = known(settings)
    if name not in found:
        raise unknown("track", name, found)
    return found[name]


def run(
    settings: Settings, name: str, script: Path, seeds: tuple[int, ...], env: str, *, all_seeds: bool
) -> dict[str, Any]:
    """Put a script through the trials of a track, one a seed. Raises what refuses an entry, ArenaUnavailable."""
    track = named(settings, name)
    entry = entry_at(script, env)
    runtime = open_runtime(settings)
    if (reason := runtime.no_arena()) is not None:
        raise ArenaUnavailable(reason)
    digest, manifest = runtime.track_corpus(track)
    corpus = Corpus.load(digest, runtime.artifacts)
    refuse_overlap(corpus)
    outcomes = [
        tried(
            entry,
            corpus,
            private=manifest.heldout == "private",
            limits=track.limits,
            seed=seed,
            python=settings.arena_interpreter,
            home=settings.data.resolve() / "arena" / "local",
        )
        for seed in (track.seeds if all_seeds else seeds or track.seeds[:1])
    ]
    return {
        "track": track.name,
        "contest": contest(track, digest),
        "corpus": digest,
        "heldout": manifest.heldout,
        "outcomes": [asdict(outcome) for outcome in outcomes],
    }


def entry_at(script: Path, env: str) -> Entry:
    """The entry in a file. Raises BadScript, BadName, BadEnvironment, InvalidValue."""
    try:
        variables = json.loads(env)
    except ValueError:
        raise InvalidValue("--env is not JSON.") from None
    if not isinstance(variables, dict) or not all(isinstance(value, str) for value in variables.values()):
        raise InvalidValue("--env must be a JSON object of texts.")
    data = script.read_bytes()
    entry = Entry(name=script.stem, script=data, sha256=hashlib.sha256(data).hexdigest(), env=variables)
    check(entry)
    return entry


def tell(console: Console, found: dict[str, Any]) -> None:
    """The verdicts as text."""
    for outcome in found["outcomes"]:
        table = Table("check", "", "detail", title=f"{found['track']}, seed {outcome['seed']}")
        for one in outcome["checks"]:
            passed = Text("passed", style="green") if one["passed"] else Text("failed", style="red")
            table.add_row(one["name"], passed, Text(one["detail"]))
        console.print(table)
        if outcome["log_tail"]:
            console.print(Text("the script printed, last:"), Text(outcome["log_tail"], style="dim"))
        console.print(Text(sentence(outcome, found["heldout"])), soft_wrap=True)


def sentence(outcome: dict[str, Any], heldout: str) -> str:
    """The verdict on one seed."""
    if outcome["failed"] is not None:
        return f"failed: {outcome['failed']}"
    sizes = f"{outcome['code_bytes']} bytes of code, {outcome['artifact_bytes']} of artifact"
    times = f"{outcome['train_seconds']:.1f} s of training, {outcome['predict_seconds']:.1f} s of prediction"
    why = "" if outcome["provenance"] == "measured" else f" ({heldout} held-out text, mode {outcome['mode']})"
    return (
        f"{outcome['bpb']:.4f} bits per byte, {outcome['provenance']}{why}; "
        f"{outcome['byte_count']} bytes; {sizes}; {times}"
    )


def board(settings: Settings, name: str) -> dict[str, Any]:
    """The rows of a track by provenance, and the gates by the leader's values."""
    track = named(settings, name)
    runtime = open_runtime(settings)
    tool = toolbox()["leaderboard"]
    found = {
        provenance: asyncio.run(call(tool, runtime.context(), {"race": track.name, "provenance": provenance}))["rows"]
        for provenance in ("measured", "claimed")
    }
    leader = found["measured"][0]["values"] if found["measured"] else []
    return {"track": track.name, **found, "gates": [asdict(one) for one in verdicts(track.gates, leader)]}


def show_board(console: Console, found: dict[str, Any]) -> None:
    """The board as tables."""
    console.print(entry_table(found["track"], found["measured"]))
    if found["claimed"]:
        console.print(entry_table(f"{found['track']}: claimed, not ranked", found["claimed"]))
    for gate in found["gates"]:
        state = "met" if gate["met"] else "not met"
        of = "each seed" if gate["of"] == "each" else "the mean"
        console.print(Text(f"gate {gate['name']}: {of} below {gate['below']}: {state}"))


def entry_table(title: str, rows: list[dict[str, Any]]) -> Table:
    """Rows of a track's board. sd is over the track's seeds; n is how many."""
    numbers = [Column(name, justify="right") for name in ("mean bpb", "sd", "n")]
    table = Table(Column("rank", justify="right"), "entry", Column("id", no_wrap=True), *numbers, title=title)
    for row in rows:
        values = (f"{row['mean']:.4f}", f"{row['sd']:.4f}", str(row["n"]))
        table.add_row(str(row["rank"]), Text(row["name"]), row["recipe"], *values)
    return table
