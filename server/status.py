"""`igla status`: races, or the jobs of one race, as terminal tables."""

from rich.table import Column, Table
from rich.text import Text

from db import queue, races
from server.board import rung_name
from server.runtime import Runtime


def show_races(runtime: Runtime) -> Table:
    """Every race with its budget and its jobs by state."""
    table = Table("race", "corpus", "budget (bytes)", "seeds", "jobs", title="races")
    with runtime.store.reading() as session:
        for race in races.listing(session):
            counts = queue.counts(session, race.id)
            jobs = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
            seeds = ", ".join(map(str, race.seeds))
            table.add_row(race.name, f"{race.corpus_name} {race.corpus[:8]}", f"{race.budget_bytes:,}", seeds, jobs)
    return table


def show_jobs(runtime: Runtime, name: str) -> Table:
    """The jobs of a race, running ones first."""
    table = Table(
        Column("job", no_wrap=True), "recipe", "seed", "rung", "state", "step", "bpb", "reason", title=f"jobs of {name}"
    )
    with runtime.store.reading() as session:
        race = races.find(session, name)
        for job in sorted(queue.jobs(session, race.id, limit=500), key=lambda one: one.state != "running"):
            value = f"{job.final_bpb:.4f}" if job.final_bpb is not None else ""
            rung = rung_name(job.rung, len(race.rungs))
            step = f"{job.last_step} of {job.total_steps}"
            if job.state == "errored":
                table.caption = "igla job_status JOB shows the last log lines of an errored job"
            table.add_row(job.id, Text(job.name), str(job.seed), rung, job.state, step, value, Text(job.reason or ""))
    return table
