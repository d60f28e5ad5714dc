"""`igla ttt`: train, score plainly and with test-time training, over the seeds of a race."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console

from errors import InvalidValue
from server.budget import parse
from server.runtime import open_runtime
from server.settings import Settings
from training.corpus import Corpus
from training.e2e_ttt import SEEDS, SeedScore, VictoryReport, refuse_early, run_e2e_ttt
from training.recipe import recipe_from


def ttt_command(
    settings: Settings, corpus: str, fields: Mapping[str, Any], budget: str, seeds: Sequence[int], *, as_json: bool
) -> None:
    """Run the loop and print its report. A recipe that names no mode takes `e2e`."""
    kind, amount = parse(budget)
    if kind != "bytes":
        raise InvalidValue(f"The budget of test-time training is text, such as 400kB, got {budget}.")
    recipe, seeds = recipe_from({"ttt": "e2e", **fields}), seeds or SEEDS
    refuse_early(recipe, seeds)
    console, runtime = Console(stderr=True), open_runtime(settings)
    digest, _ = runtime.corpus(corpus)
    report = run_e2e_ttt(
        Corpus.load(digest, runtime.artifacts),
        recipe,
        budget_bytes=int(amount),
        seeds=seeds,
        on_seed=lambda each: console.print(told(each), highlight=False),
    )
    print(json.dumps(as_object(report)) if as_json else report.text)  # noqa: T201


def told(each: SeedScore) -> str:
    """One line about a seed that is done."""
    return f"seed {each.seed}: {each.steps} steps, plain {each.plain:.4f}, with test-time training {each.bpb:.4f}"


def as_object(report: VictoryReport) -> dict[str, Any]:
    """The report as JSON, what it concludes included. An sd of one seed is null."""
    sd = report.sd if len(report.seeds) > 1 else None
    seeds = [{**asdict(each), "gain": each.gain} for each in report.seeds]
    return {
        **asdict(report), "seeds": seeds, "mean": report.mean, "sd": sd, "gain": report.gain, "met": report.met,
    }  # fmt: skip
