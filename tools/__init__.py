"""Tools: what an agent may do, one file a tool.

A tool is a function whose first argument is a `Context`; its other arguments and its result, a frozen dataclass, are
the public contract. Its docstring is what an agent reads. The header says what it touches:

    about = {"toolset": "race", "scope": "submit", "read_only": False, "destructive": False, "idempotent": True}

Tools are offered alike by MCP, `POST /api/<tool>` and the command line; a new file is offered by all three.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from db import queue, races
from db.calls import Watch
from db.judge import Judge, RunFacts, RungFacts
from db.races import RaceSpec, RaceView
from db.samples import Decided
from db.store import Store
from errors import Refusal, UnknownName
from plugins import Plugins
from training.arena.tracks import Track
from training.artifacts import Artifacts
from training.corpus import Manifest
from training.plan import Plan, check_size, label
from training.pruners import Promotion, Pruner, Verdict, pruners
from training.recipe import Recipe, recipe_from

tools = Plugins("tools")

LEASE_SECONDS = 60.0
"""A claim holds its job this long; every write and heartbeat renews it."""

DEFAULT_SEEDS = (1597, 2584, 4181)
DEFAULT_BUDGET_BYTES = 1_800_000
"""Text that a run at the top rung trains on where nobody says otherwise: tens of seconds on one CPU core."""

WHOLE: Mapping[str, Any] = {"rungs": ((1, 1),), "chunks": (1,), "sanity": (0.3, 16.0)}
"""Settings of a race whose recipes all have the whole budget: one rung, and one report at its end, so that nobody is
stopped before. A model that tells nothing scores 8 bits per byte and a broken one more: these are results here."""

LARGEST = 2**63 - 1
"""The largest integer that the store can hold."""

RaceName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$", description="name of the race")]
RecipeFields = Annotated[
    dict[str, bool | int | float | str],
    Field(
        max_length=200,
        description="flat object of recipe fields; {} is the default recipe",
        json_schema_extra={"x-schema": "recipe"},
    ),
]
JobId = Annotated[str, Field(min_length=36, max_length=36, description="job_id of the ticket")]
Fence = Annotated[int, Field(ge=0, le=LARGEST, description="fence of the ticket")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256, 64 hexadecimal characters")]


Report = Callable[[float, str], Awaitable[None]]
"""Tells a caller who waits how far its call is: a number that grows, and a sentence."""


async def silent(progress: float, message: str) -> None:
    """For callers that did not ask."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """Who calls, when, and what the call may reach. Built by a doorway for each call.

    track_corpus: digest and manifest of a track's corpus. no_arena: why this system cannot run entries, or None.
    quota: bytes that the store holds for the caller at most; None: as many as it likes. credential, doorway,
    request_id, watches: see `db.calls`.
    """

    store: Store
    artifacts: Artifacts
    corpus: Callable[[str], tuple[str, Manifest]]
    tracks: Callable[[], Mapping[str, Track]]
    track_corpus: Callable[[Track], tuple[str, Manifest]]
    no_arena: Callable[[], str | None]
    clock: Callable[[], datetime]
    principal: str = "local"
    scopes: frozenset[str] = frozenset({"admin"})
    quota: int | None = None
    glossary: Mapping[str, str]
    report: Report = silent
    credential: str = ""
    doorway: str = "local"
    request_id: str = ""
    watches: Sequence[Watch] = ()

    @property
    def owner(self) -> str | None:
        """Whose claims the caller may use: its own; None for an operator, who may use all."""
        return None if "admin" in self.scopes else self.principal

    @property
    def now(self) -> datetime:
        """The present moment, aware UTC."""
        return self.clock()


@dataclass(frozen=True, kw_only=True)
class JobRef:
    """One queued job."""

    id: str
    name: str
    recipe_digest: str
    seed: int
    rung: int
    total_steps: int
    state: str


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What the race decided about a run, and the numbers it rests on. `state` is the job's state afterwards."""

    action: str
    rung: int
    reason: str
    numbers: dict[str, float]
    state: str


class PrunerJudge:
    """Answers the store's questions with the race's pruner: the decision is pure, the transaction is the store's."""

    def survives(self, facts: RunFacts) -> Verdict:
        """Whether a run goes on."""
        chosen: Pruner = pruners[facts.pruner]
        return chosen.survives(facts)

    def promotions(self, facts: RungFacts) -> list[Promotion]:
        """Which recipes of a rung move up."""
        chosen: Pruner = pruners[facts.pruner]
        return chosen.promotions(facts)

    def steps(self, recipe_canonical: str, budget_bytes: int) -> int:
        """Optimizer steps that a recipe makes of a budget."""
        return recipe_from(json.loads(recipe_canonical)).steps(budget_bytes)


judge: Judge = PrunerJudge()


def race_for(context: Context, name: str, plan: Plan) -> RaceView:
    """The race of that name; where there is none it is created from the plan's settings and the defaults."""
    try:
        with context.store.reading() as session:
            found = races.find(session, name)
    except Refusal:
        refuse_track(context, name)
        digest, manifest = context.corpus("stdlib")
        spec = spec_from(name, plan, digest, manifest.name, manifest.heldout)
        with context.store.transaction() as session:
            return races.create(session, spec, context.now)
    check_agrees(found, plan)
    return found


def refuse_track(context: Context, name: str) -> None:
    """Refuse (RaceExists) the name of a track for a new race: boards are asked for by name."""
    if name in context.tracks():
        raise races.RaceExists(f"{name} is a track, on which entries run.")


def check_agrees(found: RaceView, plan: Plan) -> None:
    """Refuse (RaceExists) other settings than the race has."""
    seeds = found.seeds if plan.seeds is None else tuple(plan.seeds)
    chunks = found.chunks if plan.chunks is None else tuple(plan.chunks)
    if plan.budget_bytes not in (None, found.budget_bytes) or seeds != found.seeds or chunks != found.chunks:
        raise races.RaceExists(
            f"Race {found.name} has a budget of {found.budget_bytes} bytes, seeds {found.seeds}, chunks {found.chunks}."
        )
    if plan.whole and found.rungs != WHOLE["rungs"]:
        raise races.RaceExists(f"Race {found.name} has {len(found.rungs)} rungs, not one of the whole budget.")


def spec_from(name: str, plan: Plan, corpus: str, corpus_name: str, heldout: str) -> RaceSpec:
    """The settings of a new race."""
    shape: Mapping[str, Any] = WHOLE if plan.whole else {}
    shape = shape if plan.chunks is None else {**shape, "chunks": tuple(plan.chunks)}
    return RaceSpec(
        name=name,
        corpus=corpus,
        corpus_name=corpus_name,
        heldout=heldout,
        budget_bytes=DEFAULT_BUDGET_BYTES if plan.budget_bytes is None else plan.budget_bytes,
        seeds=DEFAULT_SEEDS if plan.seeds is None else tuple(plan.seeds),
        quorum=plan.quorum,
        **shape,
    )


def submit(context: Context, race: RaceView, recipes: Sequence[Recipe], priority: int) -> list[JobRef]:
    """Queue every recipe at the first rung, all or none; what is queued already is returned as it stands."""
    check_size(len(recipes), len(race.seeds))
    with context.store.transaction() as session:
        stored = [
            job
            for recipe in recipes
            for job in queue.submit(
                session,
                race,
                queue.RecipeText(digest=recipe.digest, name=label(recipe, recipe_from({})), canonical=recipe.canonical),
                first_rung_steps(recipe, race.budget_bytes, race.rungs),
                priority=priority,
                created_by=context.principal,
                now=context.now,
            )
        ]
    return [
        JobRef(
            id=job.id,
            name=job.name,
            recipe_digest=job.recipe_digest,
            seed=job.seed,
            rung=job.rung,
            total_steps=job.total_steps,
            state=job.state,
        )
        for job in stored
    ]


def preview(context: Context, name: str, plan: Plan, recipes: Sequence[Recipe]) -> tuple[list[int], list[JobRef]]:
    """What `submit` would queue, storing nothing and refusing the same: jobs without an id."""
    race: RaceView | RaceSpec
    try:
        with context.store.reading() as session:
            race = found = races.find(session, name)
    except UnknownName:
        refuse_track(context, name)
        race = spec_from(name, plan, corpus="", corpus_name="stdlib", heldout="public")
        races.check(race)
    else:
        check_agrees(found, plan)
    check_size(len(recipes), len(race.seeds))
    jobs = [
        JobRef(
            id="",
            name=label(recipe, recipe_from({})),
            recipe_digest=recipe.digest,
            seed=seed,
            rung=0,
            total_steps=first_rung_steps(recipe, race.budget_bytes, race.rungs),
            state="planned",
        )
        for recipe in recipes
        for seed in race.seeds
    ]
    return list(race.seeds), jobs


def first_rung_steps(recipe: Recipe, budget_bytes: int, rungs: Sequence[tuple[int, int]]) -> int:
    """Optimizer steps of a recipe at the first rung of a race."""
    numerator, denominator = rungs[0]
    return recipe.steps(budget_bytes * numerator // denominator)


def decision_of(decided: Decided, state: str) -> Decision:
    """The store's decision as an agent sees it."""
    return Decision(
        action=decided.action, rung=decided.rung, reason=decided.reason, numbers=dict(decided.numbers), state=state
    )
