"""A whole race on this machine: plan, train, judge, rank. Plays through the same tools as any agent."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from db import queue, races, samples
from db.queue import QueueEmpty
from db.races import RaceView
from server.runtime import Runtime
from server.toolbox import Tool, call, toolbox
from training.plan import Plan

LOOK_SECONDS = 0.2
"""How soon an idle worker asks the queue again."""


@dataclass(kw_only=True)
class Lane:
    """What one worker is doing, for the screen."""

    worker: str
    name: str = ""
    seed: int = 0
    rung: int = 0
    step: int = 0
    total_steps: int = 1
    bpb: float | None = None


@dataclass(kw_only=True)
class Progress:
    """What the screen shows: lanes, jobs by state, and what was decided, newest last."""

    lanes: dict[str, Lane] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    bytes_per_second: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Result:
    """How a race ended."""

    race: RaceView
    rows: list[dict[str, Any]]
    decisions: list[samples.DecisionView]
    names: Mapping[str, str]
    counts: Mapping[str, int]


async def run_race(
    runtime: Runtime, name: str, plan: Plan, workers: int, progress: Progress, changed: Callable[[], None]
) -> Result:
    """Queue the plan and play until no job of the race is left. Called again after a crash, it goes on."""
    tools = toolbox()
    await use(tools["plan_race"], runtime, plan=plan_json(plan), race=name)
    async with asyncio.TaskGroup() as group:
        for number in range(workers):
            group.create_task(play(runtime, tools, name, f"local-{number}", progress, changed))
    return result_of(runtime, name, await board(runtime, tools["leaderboard"], name))


async def play(
    runtime: Runtime,
    tools: Mapping[str, Tool],
    race: str,
    worker: str,
    progress: Progress,
    changed: Callable[[], None],
) -> None:
    """One worker: claim, run chunks while the race says so, claim again; end when nothing is left."""
    while counts := await asyncio.to_thread(open_jobs, runtime, race, progress):
        try:
            claimed = await use(tools["claim_job"], runtime, worker=worker, race=race)
        except QueueEmpty:
            await asyncio.sleep(LOOK_SECONDS)
            continue
        for ticket in claimed["tickets"]:
            lane = Lane(
                worker=worker,
                name=ticket["name"],
                seed=ticket["seed"],
                rung=ticket["rung"],
                step=ticket["start_step"],
                total_steps=ticket["total_steps"],
            )
            progress.lanes[worker] = lane
            await run_job(runtime, tools["run_chunk"], ticket, lane, progress, changed)
        del progress.lanes[worker]
    assert counts == 0


async def run_job(
    runtime: Runtime,
    run_chunk: Tool,
    ticket: Mapping[str, Any],
    lane: Lane,
    progress: Progress,
    changed: Callable[[], None],
) -> None:
    """Chunks of one job, until it is finished, stopped or lost."""
    action = "continue"
    while action == "continue":
        ran = await use(run_chunk, runtime, job_id=ticket["job_id"], fence=ticket["fence"])
        if ran["samples"]:
            lane.step, lane.bpb = ran["samples"][-1]["step"], ran["samples"][-1]["bpb"]
        progress.bytes_per_second = ran["bytes_per_second"]
        action = ran["decision"]["action"]
        changed()


def open_jobs(runtime: Runtime, race: str, progress: Progress) -> int:
    """How many jobs of the race are queued or running."""
    with runtime.store.reading() as session:
        progress.counts = queue.counts(session, races.find(session, race).id)
    return progress.counts.get("queued", 0) + progress.counts.get("running", 0)


async def board(runtime: Runtime, leaderboard: Tool, race: str) -> list[dict[str, Any]]:
    """The whole leaderboard, page by page."""
    page = await use(leaderboard, runtime, race=race, limit=200)
    rows: list[dict[str, Any]] = page["rows"]
    while page["next_cursor"]:
        page = await use(leaderboard, runtime, race=race, limit=200, cursor=page["next_cursor"])
        rows += page["rows"]
    return rows


def result_of(runtime: Runtime, name: str, rows: list[dict[str, Any]]) -> Result:
    """The finished race with its decisions."""
    with runtime.store.reading() as session:
        race = races.find(session, name)
        decided = samples.decisions(session, race_id=race.id, limit=1000)
        counts = queue.counts(session, race.id)
        names = {job.recipe_digest: job.name for job in queue.jobs(session, race.id, limit=10_000)}
    return Result(race=race, rows=rows, decisions=list(decided), counts=counts, names=names)


async def use(tool: Tool, runtime: Runtime, **arguments: Any) -> dict[str, Any]:
    """Call a tool as the local operator."""
    return await call(tool, runtime.context(), arguments)


def plan_json(plan: Plan) -> dict[str, Any]:
    """The plan as the tool's argument."""
    given = {
        "base": dict(plan.base),
        "grid": {name: list(values) for name, values in plan.grid.items()},
        "recipes": [dict(recipe) for recipe in plan.recipes],
        "priority": plan.priority,
        "budget_bytes": plan.budget_bytes,
        "seeds": list(plan.seeds) if plan.seeds is not None else None,
        "quorum": plan.quorum,
    }
    loaded: dict[str, Any] = json.loads(json.dumps(given))
    return loaded
