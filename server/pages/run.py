"""`/runs/{job_id}`: one run, its curve as it grows, and all that its numbers rest on."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import FastAPI, Request
from starlette.responses import HTMLResponse

from db import overview, queue, races, samples
from db.overview import RecipeView, SetAside
from db.queue import JobView
from db.races import RaceView
from db.samples import DecisionView, SampleView
from db.session import Session
from server.keys import signing_key
from server.pages.chart import run_chart
from server.pages.shell import fragment, page
from server.runtime import Runtime, utc_now
from training.recipe import recipe_from

MOST_SET_ASIDE = 50


@dataclass(frozen=True, kw_only=True)
class Field:
    """A field of a recipe; `usual` is the default recipe's value where this one differs, else None."""

    name: str
    value: Any
    differs: bool
    usual: Any


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All that a run's page shows."""

    job: JobView
    race: RaceView
    samples: Sequence[SampleView]
    decisions: Sequence[DecisionView]
    recipe: RecipeView
    receipts: Mapping[int, str]
    set_aside: Sequence[SetAside]


def gather(session: Session, job_id: str) -> Facts:
    """Read a run from the store. An unknown one is refused."""
    job = queue.job(session, job_id)
    return Facts(
        job=job,
        race=races.by_id(session, job.race_id),
        samples=samples.curve(session, job_id),
        decisions=samples.decisions(session, job_id=job_id, limit=50),
        recipe=overview.recipe(session, job.recipe_digest),
        receipts=overview.receipts(session, job_id),
        set_aside=overview.set_aside(session, job_id, MOST_SET_ASIDE),
    )


def compared(given: Mapping[str, Any], usual: Mapping[str, Any]) -> list[Field]:
    """The fields of a recipe, those that differ from the default recipe first. Options that it has not: differ."""
    fields = [
        Field(name=name, value=value, differs=name not in usual or usual[name] != value, usual=usual.get(name))
        for name, value in given.items()
    ]
    return sorted(fields, key=lambda one: (not one.differs, one.name))


def values_of(runtime: Runtime, facts: Facts) -> dict[str, Any]:
    """What the templates of a run are given."""
    job, last = facts.job, facts.samples[-1] if facts.samples else None
    step_bytes = facts.race.bytes_at(job.rung) / job.total_steps
    return {
        "job": job,
        "race": facts.race,
        "samples": facts.samples[::-1],
        "last": last,
        "step_bytes": step_bytes,
        "chart": run_chart(facts.samples, step_bytes),
        "decisions": facts.decisions,
        "fields": compared(json.loads(facts.recipe.canonical), recipe_from({}).as_json()),
        "recipe": facts.recipe,
        "receipt": facts.receipts.get(last.step) if last else None,
        "public_key": public_key(runtime),
        "set_aside": facts.set_aside,
        "now": utc_now(),
    }


def public_key(runtime: Runtime) -> str:
    """The key, in hexadecimal, by which anybody can check this server's receipts."""
    key = signing_key(runtime.settings.data.resolve()).public_key()
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


PARTS = {"state": "run_state.html", "curve": "run_curve.html", "samples": "run_samples.html",
         "decisions": "run_decisions.html"}  # fmt: skip
"""Parts of the page that change while the run goes on."""


def parts(values: Mapping[str, Any]) -> dict[str, str]:
    """The parts of a run's page as text, by name, and what is said of them aloud."""
    job, last = values["job"], values["last"]
    said = f"The run is {job.state}, at step {job.last_step} of {job.total_steps}."
    if last is not None:
        said += f" Its last value is {last.bpb:.4f} bits per byte."
    return {**{name: fragment(template, values) for name, template in PARTS.items()}, "said": said}


def add_run(app: FastAPI, runtime: Runtime) -> None:
    """Add the page of a run."""

    def run_page(request: Request, job_id: str) -> HTMLResponse:
        with runtime.store.reading() as session:
            facts = gather(session, job_id)
        values = values_of(runtime, facts)
        return page(request, "run.html", {**values, "parts": parts(values)})

    app.add_api_route("/runs/{job_id}", run_page, methods=["GET"], include_in_schema=False)
