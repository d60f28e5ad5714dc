"""Run an entry on a track."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated

from pydantic import Field

from db import entry_runs, workers
from db.entry_runs import Contest, RunView
from errors import InvalidValue, unknown
from tools import LARGEST, Context, RaceName
from tools.entry_status import EntryId, Trial, trial
from training.arena.outcome import provenance_of
from training.arena.sandbox import ArenaUnavailable
from training.arena.tracks import Track, contest

about = {
    "toolset": "arena",
    "scope": "work",
    "read_only": False,
    "destructive": False,
    "idempotent": False,
    "arena": True,
}

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds between two looks at the runs: short ones answer soon, long ones cost little."""

SIGNALLED_PAUSE = 5.0
"""Seconds between two looks where the store tells of the answer."""

SILENCE = 60.0
"""Seconds without a sign of any runner after which a call refuses instead of waiting on."""


@dataclass(frozen=True, kw_only=True)
class EntryRuns:
    """The runs of an entry on a track, one a seed, as they stand.

    provenance: what the numbers will be at best; on public held-out text that is "claimed". runners: processes that
    can run entries.
    """

    entry: str
    track: str
    contest: str
    corpus: str
    provenance: str
    runners: int
    runs: list[Trial]


async def run_entry(
    context: Context,
    entry: EntryId,
    track: RaceName,
    seeds: Annotated[
        list[Annotated[int, Field(ge=0, le=LARGEST)]] | None,
        Field(min_length=1, max_length=16, description="leave out for the track's seeds, the only ones that rank"),
    ] = None,
    wait_seconds: Annotated[float, Field(ge=0, le=3600, description="longest wait for the verdicts")] = 0.0,
) -> EntryRuns:
    """Train an entry and let it predict held-out text, once a seed, in the sandbox of a runner.

    A run that is still open is answered, not started twice; the first verdict on each seed is the one that ranks.
    Ask again, or entry_status, until no run is queued or leased.
    """
    chosen = track_named(context, track)
    if seeds is not None and len(set(seeds)) < len(seeds):
        raise InvalidValue("seeds: each only once.")
    await asyncio.to_thread(refuse_unavailable, context)
    digest, manifest = await asyncio.to_thread(context.track_corpus, chosen)
    held = Contest(
        digest=contest(chosen, digest),
        track=chosen.name,
        corpus=digest,
        heldout=manifest.heldout,
        limits=asdict(chosen.limits),
    )
    asked = await asyncio.to_thread(ask, context, entry, held, seeds or chosen.seeds)
    found = await wait(context, entry, asked, wait_seconds)
    return await asyncio.to_thread(answer_of, context, found)


def answer_of(context: Context, found: Sequence[RunView]) -> EntryRuns:
    """The runs of one entry on one track, one at least, as an agent sees them."""
    first = found[0]
    return EntryRuns(
        entry=first.entry_id,
        track=first.track,
        contest=first.contest,
        corpus=first.corpus,
        provenance=provenance_of("predict", first.heldout == "private"),
        runners=runners(context),
        runs=[trial(one) for one in found],
    )


def track_named(context: Context, name: str) -> Track:
    """A track by name. An unknown one is refused with the nearest known one."""
    known = context.tracks()
    if name not in known:
        raise unknown("track", name, known)
    return known[name]


def runners(context: Context) -> int:
    """Runners that have given a sign of life lately."""
    with context.store.reading() as session:
        return len(workers.alive(session, "arena", context.now, SILENCE))


def refuse_unavailable(context: Context) -> None:
    """Raise ArenaUnavailable where no runner lives and this system could not have one."""
    if not runners(context) and (reason := context.no_arena()) is not None:
        raise ArenaUnavailable(f"No runner lives, and none can live here: {reason}")


def ask(context: Context, entry: str, held: Contest, seeds: Sequence[int]) -> list[RunView]:
    """Store the runs, or find the open ones."""
    with context.store.transaction() as session:
        return entry_runs.request(session, entry, held, seeds, context.principal, context.now)


async def wait(context: Context, entry: str, asked: list[RunView], wait_seconds: float) -> list[RunView]:
    """The runs when all are closed, or as they stand when the time is over."""
    began, pause = context.now, FIRST_PAUSE
    with context.store.signals.on(entry_runs.answers_of(entry)) as answer:
        while True:
            found = await asyncio.to_thread(look, context, asked)
            waited = (context.now - began).total_seconds()
            if all(one.finished_at for one in found) or waited >= wait_seconds or context.closing():
                return found
            if waited > SILENCE and not await asyncio.to_thread(runners, context):
                raise ArenaUnavailable("No runner has given a sign of life.")
            await answer.arrives(min(SIGNALLED_PAUSE if answer.travels else pause, wait_seconds - waited))
            pause = min(LONGEST_PAUSE, pause * 1.5)


def look(context: Context, asked: list[RunView]) -> list[RunView]:
    """The runs as they stand."""
    with context.store.reading() as session:
        return [entry_runs.get(session, one.id) for one in asked]
