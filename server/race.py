"""A whole race on this machine: plan, train, judge, rank. Plays through the same tools as any agent."""

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import structlog

from db import queue, races, samples
from db.queue import LeaseLost, QueueEmpty
from db.races import RaceView
from db.session import Session
from errors import Refusal, RunFailed
from server.auditing import by_command
from server.runtime import Runtime, utc_now
from server.toolbox import Tool, call, toolbox
from tools import judge
from tools.run_chunk import ChunkRunning
from training.format_fields import PLAIN
from training.plan import Plan

log = structlog.get_logger()

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
    """How a race ended. matrix: formats x optimizers, where some recipe has a format."""

    race: RaceView
    rows: list[dict[str, Any]]
    decisions: list[samples.DecisionView]
    names: Mapping[str, str]
    counts: Mapping[str, int]
    matrix: Mapping[str, Any] | None = None


async def run_race(runtime: Runtime, name: str, plan: Plan | None, workers: int, progress: Progress) -> Result:
    """Queue the plan, if there is one, and play until no job of the race is left. Called again, it goes on."""
    tools = toolbox()
    if plan is not None:
        await use(tools["plan_race"], runtime, plan=plan_json(plan), race=name)
    async with asyncio.TaskGroup() as group:
        for number in range(workers):
            group.create_task(play(runtime, tools, name, f"local-{number}", progress))
    rows = await board(runtime, tools["leaderboard"], name)
    table = (await use(tools["leaderboard"], runtime, race=name, by="format,optimizer"))["matrix"]
    result = result_of(runtime, name, rows)
    return replace(result, matrix=table) if has_formats(table) else result


async def play(
    runtime: Runtime,
    tools: Mapping[str, Tool],
    race: str,
    worker: str,
    progress: Progress,
) -> None:
    """One worker: claim, run chunks while the race says so, claim again; end when nothing is left."""
    while await asyncio.to_thread(open_jobs, runtime, race, progress):
        try:
            claimed = await claim(tools["claim_job"], runtime, worker, race)
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
            await run_job(runtime, tools["run_chunk"], ticket, lane, progress)
        del progress.lanes[worker]


async def claim(claim_job: Tool, runtime: Runtime, worker: str, race: str) -> dict[str, Any]:
    """Claim a job; interrupted in the middle of it, give it back."""
    claiming = asyncio.ensure_future(use(claim_job, runtime, worker=worker, race=race))
    try:
        return await asyncio.shield(claiming)
    except asyncio.CancelledError:
        with suppress(QueueEmpty):
            for ticket in (await claiming)["tickets"]:
                end(runtime, ticket, lambda session, held: queue.release(session, *held, utc_now(), "interrupted"))
        raise


async def run_job(
    runtime: Runtime,
    run_chunk: Tool,
    ticket: Mapping[str, Any],
    lane: Lane,
    progress: Progress,
) -> None:
    """Chunks of one job, until it is finished, stopped, failed or lost. An interruption gives the job back."""
    action = "continue"
    try:
        while action == "continue":
            try:
                ran = await use(run_chunk, runtime, job_id=ticket["job_id"], fence=ticket["fence"])
            except ChunkRunning:
                continue
            if ran["samples"]:
                lane.step, lane.bpb = ran["samples"][-1]["step"], ran["samples"][-1]["bpb"]
            progress.bytes_per_second = ran["bytes_per_second"]
            action = ran["decision"]["action"]
    except (LeaseLost, RunFailed) as ended:
        log.warning("run_ended", job=ticket["job_id"], code=ended.code, message=ended.message)
    except Refusal as refusal:
        log.warning("run_failed", job=ticket["job_id"], code=refusal.code, message=refusal.message)
        reason = refusal.message
        end(runtime, ticket, lambda session, held: queue.fail(session, *held, utc_now(), reason, judge=judge))
    except asyncio.CancelledError:
        end(runtime, ticket, lambda session, held: queue.release(session, *held, utc_now(), "interrupted"))
        raise


def end(runtime: Runtime, ticket: Mapping[str, Any], how: Callable[[Session, tuple[str, int]], object]) -> None:
    """Fail or release a job of ours, unless it is ours no more."""
    store = by_command(runtime, "race", {"job_id": str(ticket["job_id"])})
    with suppress(LeaseLost), store.transaction() as session:
        how(session, (ticket["job_id"], ticket["fence"]))


def open_jobs(runtime: Runtime, race: str, progress: Progress) -> int:
    """How many jobs of the race are queued or running."""
    with runtime.store.reading() as session:
        progress.counts = queue.counts(session, races.find(session, race).id)
    return progress.counts.get("queued", 0) + progress.counts.get("running", 0)


def has_formats(table: Mapping[str, Any]) -> bool:
    """Whether a matrix has a row of a format that rounds."""
    return any(row["format"] != PLAIN for row in table["rows"])


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
        "chunks": list(plan.chunks) if plan.chunks is not None else None,
        "matrix": asdict(plan.matrix) if plan.matrix else None,
        "whole": plan.whole,
    }
    loaded: dict[str, Any] = json.loads(json.dumps(given))
    return loaded
