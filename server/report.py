"""`igla report`: one self-contained HTML file of a race."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from db import leaderboard, queue, races, samples
from db.leaderboard import Row
from db.queue import JobView
from db.races import RaceView
from db.results import results
from db.samples import DecisionView, SampleView
from db.session import Session
from server.curves import Line, svg
from server.runtime import Runtime
from training.baseline import witten_bell
from training.corpus import Corpus
from training.format_fields import PLAIN
from training.matrix import Matrix, matrix_of
from training.recipe import recipe_from

MOST_JOBS = 2000
"""Jobs that a report lists; a larger race is cut to the newest."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All that a report shows."""

    race: RaceView
    rows: Sequence[Row]
    jobs: Sequence[JobView]
    curves: Mapping[str, Sequence[SampleView]]
    decisions: Sequence[DecisionView]
    counts: Mapping[str, int]
    step_bytes: Mapping[str, int]
    baseline: float | None = None
    matrix: Matrix | None = None


def gather(runtime: Runtime, name: str, baseline: float | None = None) -> Facts:
    """Read a race from the store."""
    with runtime.store.reading() as session:
        race = races.find(session, name)
        jobs = queue.jobs(session, race.id, limit=MOST_JOBS)
        return Facts(
            race=race,
            rows=leaderboard.rows(session, race, limit=200).rows,
            jobs=jobs,
            curves={job.id: samples.curve(session, job.id) for job in jobs if job.last_step},
            decisions=samples.decisions(session, race_id=race.id, limit=1000),
            counts=queue.counts(session, race.id),
            step_bytes=step_bytes(jobs, race),
            baseline=baseline,
            matrix=matrix(session, race),
        )


def matrix(session: Session, race: RaceView) -> Matrix | None:
    """Formats x optimizers, where some recipe of the race has a format."""
    table = matrix_of([(recipe_from(json.loads(one.canonical)), one) for one in results(session, race)])
    return table if any(row.format != PLAIN for row in table.rows) else None


def step_bytes(jobs: Sequence[JobView], race: RaceView) -> dict[str, int]:
    """Bytes of text that a step of each job trains on, from its rung's share of the budget."""
    shares = [race.budget_bytes * numerator // denominator for numerator, denominator in race.rungs]
    return {job.id: max(1, shares[job.rung] // job.total_steps) for job in jobs}


def render(facts: Facts) -> str:
    """The report's HTML. Every text from outside is escaped."""
    places = {row.recipe: row.rank for row in facts.rows}
    names = {job.recipe_digest: job.name for job in facts.jobs}
    lines = [
        Line(
            name=f"{job.name}, seed {job.seed}, rung {job.rung + 1}",
            points=[(one.step * facts.step_bytes[job.id], one.bpb) for one in facts.curves[job.id]],
            place=places.get(job.recipe_digest, 0),
            stopped=job.state in ("pruned", "errored"),
        )
        for job in facts.jobs
        if job.id in facts.curves
    ]
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined
    )
    last = len(facts.race.rungs) - 1
    return environment.get_template("report.html").render(
        race=facts.race,
        rows=facts.rows,
        jobs=facts.jobs,
        counts=facts.counts,
        baseline=facts.baseline,
        chart=Markup(svg(lines, facts.baseline)),
        decisions=[
            {**asdict(one), "name": names.get(one.recipe_digest or "", "")} for one in reversed(facts.decisions)
        ],
        matrix=facts.matrix,
        heat=heats(facts.matrix) if facts.matrix else {},
        left=[(row.name, row.rung, row.mean) for row in facts.rows if row.rung < last],
    )


HEATS = 5
"""Shades of the matrix, from 0 for the best number to HEATS - 1 for the worst."""


def heats(table: Matrix) -> dict[str, int]:
    """Recipe -> shade of its cell: by its place between the best number of the table and its third quartile.

    A few formats in which nothing is learned lie far off; they have the last shade and do not hide the others.
    """
    means = sorted(cell.mean for row in table.rows for cell in row.cells if cell and cell.mean is not None)
    if not means:
        return {}
    low, high = means[0], means[3 * (len(means) - 1) // 4]
    span = (high - low) or 1.0
    cells = (cell for row in table.rows for cell in row.cells if cell and cell.mean is not None)
    return {cell.recipe: min(HEATS - 1, int(HEATS * ((cell.mean or low) - low) / span)) for cell in cells}


def write_report(runtime: Runtime, name: str, file: Path, baseline: float | None = None) -> None:
    """Write the report of a race to a file, whole or not at all. The baseline is computed where it is not given."""
    facts = gather(runtime, name, baseline)
    if facts.baseline is None and facts.race.corpus in runtime.artifacts:
        corpus = Corpus.load(facts.race.corpus, runtime.artifacts)
        score = witten_bell(corpus.split("train"), corpus.split("validation"))
        facts = replace(facts, baseline=score.bpb)
    text = render(facts)
    partial = file.with_name(file.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(file)
