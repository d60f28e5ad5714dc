"""`igla race`: what the command line adds to a race: budget from time, screen, baseline, report."""

import asyncio
import json
import re
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from db import races
from db.races import RaceView
from errors import InvalidValue, shown
from server.board import board_table, matrix_table, rung_name
from server.budget import Course, Speed, fitted, parse
from server.curves import amount
from server.race import Progress, Result, run_race
from server.report import write_report
from server.runtime import Runtime, open_runtime
from server.settings import Settings
from server.supervisor import Engines
from tools import DEFAULT_SEEDS, spec_from
from training.baseline import witten_bell
from training.corpus import Corpus
from training.grids import DEFAULT_RECIPES
from training.plan import Plan, recipes_of
from training.recipe import Recipe

NAME = r"[a-z0-9][a-z0-9._-]{0,63}"
"""What the name of a race looks like."""

CALIBRATION_SECONDS = 0.4
"""Seconds that each recipe is timed for before a budget given as a time is turned into bytes."""


@dataclass(kw_only=True)
class Baseline:
    """The order-2 Witten-Bell model, fitted and scored in a thread of its own while the race runs."""

    corpus: Corpus
    bpb: float | None = None

    def start(self) -> threading.Thread:
        """Begin fitting."""
        thread = threading.Thread(target=self.fit, daemon=True)
        thread.start()
        return thread

    def fit(self) -> None:
        """Fit and score."""
        self.bpb = witten_bell(self.corpus.split("train"), self.corpus.split("validation")).bpb


def race_command(settings: Settings, name: str, plan: Plan | None, budget: str, report: Path, *, as_json: bool) -> None:
    """Run a race to its end and print the board. Without a plan a known race goes on, a new one takes the default."""
    refuse_early(settings, name, report)
    console = Console(stderr=as_json)
    runtime = open_runtime(settings)
    began = time.monotonic()
    console.print(f"[bold]race {name}[/bold]: building the corpus of this Python's standard library")
    digest, manifest = runtime.corpus("stdlib")
    corpus = Corpus.load(digest, runtime.artifacts)
    known = find(runtime, name)
    if known is not None:
        console.print(f"the race exists and goes on with its own budget of {known.budget_bytes} bytes")
        plan = replace(plan, budget_bytes=known.budget_bytes) if plan else None
    else:
        plan = plan or Plan(recipes=DEFAULT_RECIPES)
        plan = measured_out(console, runtime, plan, corpus, budget, began)
        console.print(
            f"{len(recipes_of(plan))} recipes x {len(plan.seeds or DEFAULT_SEEDS)} seeds; "
            f"T = {amount(plan.budget_bytes or 0)}"
        )
    sizes = {split: amount(manifest.splits[split].byte_count) for split in ("train", "validation")}
    console.print(f"corpus {digest[:12]}: {sizes['train']} to train on, {sizes['validation']} to validate on")
    baseline = Baseline(corpus=corpus)
    fitting = baseline.start()
    with (
        (settings.data / "engine.log").open("ab") as output,
        Engines(settings, settings.engine_count, output, store=runtime.store),
    ):
        try:
            result = watch(console, runtime, name, plan, settings.engine_count)
        except KeyboardInterrupt:
            again = f"igla race --name {name} --data {settings.data}"
            console.print(f"stopped; every stored sample is kept. To go on: {again}", soft_wrap=True)
            raise SystemExit(130) from None
    runtime.store.meters.flush(runtime.store)
    fitting.join()
    tell(console, settings, result, baseline.bpb, report, time.monotonic() - began)
    write_report(runtime, name, report, baseline.bpb)
    if as_json:
        print(json.dumps({"race": name, "rows": result.rows, "baseline": baseline.bpb, "matrix": result.matrix}))  # noqa: T201


def refuse_early(settings: Settings, name: str, report: Path) -> None:
    """Refuse before anything is built or trained what could only fail at the end."""
    if re.fullmatch(NAME, name) is None:
        raise InvalidValue(f"A race is named by letters, digits, dot, dash and underscore, got {shown(name)}.")
    if settings.engine_count < 1:
        raise InvalidValue("A race needs at least one engine.")
    if report.parent != settings.data and not report.parent.is_dir():
        raise InvalidValue(f"There is no folder {shown(str(report.parent))} for the report.")


def find(runtime: Runtime, name: str) -> RaceView | None:
    """The race of that name, if there is one."""
    with runtime.store.reading() as session:
        return next((race for race in races.listing(session) if race.name == name), None)


def measured_out(console: Console, runtime: Runtime, plan: Plan, corpus: Corpus, budget: str, began: float) -> Plan:
    """The plan with the top rung's budget in bytes; a time is measured out on this machine first."""
    kind, amount_ = parse(budget)
    if kind == "bytes":
        return replace(plan, budget_bytes=int(amount_))
    recipes = recipes_of(plan)
    console.print(f"timing {len(recipes)} recipes to make {budget} of them")
    speed = calibrate(runtime, recipes, corpus)
    shape = spec_from("shape", replace(plan, budget_bytes=1), corpus="", corpus_name="", heldout="public")
    course = Course(recipes=len(recipes), seeds=len(shape.seeds), eta=shape.eta, rungs=shape.rungs, chunks=shape.chunks)
    left = amount_ - (time.monotonic() - began)
    size = corpus.manifest.splits["validation"].byte_count
    top, chunks = fitted(left, course, speed, runtime.settings.engine_count, size)
    return replace(plan, budget_bytes=top, chunks=chunks)


def calibrate(runtime: Runtime, recipes: list[Recipe], corpus: Corpus) -> Speed:
    """Time the recipes in as many processes at once as will train."""
    command = [sys.executable, "-m", "training.calibrate", runtime.settings.artifact_place, corpus.digest]
    wanted = json.dumps([recipe.as_json() for recipe in recipes])
    running = [
        subprocess.Popen([*command, str(CALIBRATION_SECONDS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(runtime.settings.engine_count)
    ]
    for process in running:
        assert process.stdin is not None
        process.stdin.write(wanted)
        process.stdin.close()
    said = [process.stdout.read() for process in running if process.stdout]
    if any([process.wait() for process in running]):
        raise InvalidValue("A recipe cannot be trained on this machine; try it alone with a budget in bytes.")
    measured = [json.loads(text) for text in said]
    return Speed(**{key: mean(one[key] for one in measured) for key in measured[0]})


def watch(console: Console, runtime: Runtime, name: str, plan: Plan | None, workers: int) -> Result:
    """Run the race with its progress on the screen."""
    progress = Progress()
    with Live(console=console, refresh_per_second=4, get_renderable=lambda: screen(progress), transient=True):
        return asyncio.run(run_race(runtime, name, plan, workers, progress))


def screen(progress: Progress) -> Group:
    """Bars of the runs in training and a line of counts."""
    bars = Bars(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[bpb]}"))
    for lane in list(progress.lanes.values()):
        value = f"{lane.bpb:.4f} bpb" if lane.bpb is not None else ""
        described = f"rung {lane.rung + 1}  seed {lane.seed}  {lane.name}"
        bars.add_task(described, total=lane.total_steps, completed=lane.step, bpb=value)
    counts = "  ".join(f"{count} {state}" for state, count in sorted(progress.counts.items()))
    return Group(bars, Text(f"jobs: {counts}   {amount(progress.bytes_per_second)}/s a run"))


def tell(
    console: Console, settings: Settings, result: Result, baseline: float | None, report: Path, seconds: float
) -> None:
    """The final leaderboard, what was decided, and where everything lies."""
    console.print(board_table(result.race.name, result.rows))
    if result.matrix is not None:
        console.print(matrix_table(result.race.name, result.matrix))
    console.print(decision_table(result))
    if result.rows and baseline is not None:
        winner = result.rows[0]
        side = "below" if winner["mean"] < baseline else "not below"
        console.print(
            f"winner: {winner['name']}: [bold]{winner['mean']:.4f}[/bold] bits per byte over {winner['n']} seeds, "
            f"{side} the order-2 Witten-Bell model fitted on the whole train split ({baseline:.4f} on the same bytes)",
            highlight=False,
        )
    console.print(f"{seconds:.0f} s; the same budget again: igla race --budget {result.race.budget_bytes}B")
    console.print(f"database: {settings.store_url}\nreport:   {report.resolve()}", highlight=False, soft_wrap=True)


def decision_table(result: Result) -> Table:
    """Every decision with its numbers, oldest first."""
    table = Table("action", "from rung", "recipe", "reason", "numbers", title="decisions")
    for one in reversed(result.decisions):
        numbers = ", ".join(
            f"{key} {value:.5g}" if isinstance(value, float) else f"{key} {value}" for key, value in one.numbers.items()
        )
        recipe = Text(result.names[one.recipe_digest])
        table.add_row(one.action, rung_name(one.rung, len(result.race.rungs)), recipe, Text(one.reason), numbers)
    return table
