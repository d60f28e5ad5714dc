"""Stores to measure: PostgreSQL databases filled with races, jobs, standings and samples by the server itself."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import psycopg

from db import races
from db.races import RaceSpec, RaceView
from db.store import Store, open_store
from tests.postgres import command, database, postgres

__all__ = [
    "CANONICAL", "SPEC", "command", "database", "fill_jobs", "fill_runs", "new_race", "postgres", "race_database",
]  # fmt: skip

CANONICAL = '{"optimizer":"adamw"}'
SPEC = RaceSpec(name="r", corpus="c" * 64, corpus_name="books", budget_bytes=18_000_000, seeds=(1597, 2584, 4181))
RECIPE = "md5(i::text) || md5('x' || i)"

RECIPES = f"""
INSERT INTO recipe (digest, name, canonical, created_by, created_at)
SELECT {RECIPE}, 'recipe ' || i, %(canonical)s, 'bench', now() FROM generate_series(%(first)s::int, %(last)s) i
"""

JOBS = """
INSERT INTO job (id, position, race_id, recipe_digest, seed, rung, state, priority, total_steps, last_step,
                 checkpoint_step, final_bpb, provenance, fence, worker, attempt, barren, fruitful, created_by,
                 created_at, finished_at)
SELECT gen_random_uuid()::text, nextval('job_position'), %(race)s, {recipe}, seed, 0, %(state)s, 50, 100, %(step)s, 0,
       CASE WHEN %(state)s = 'done' THEN 2 + i * 1e-6 + seed * 1e-9 END, %(provenance)s, %(fence)s, %(worker)s,
       %(fence)s, 0, %(fence)s > 0, 'bench', %(since)s::timestamptz + i * interval '1 microsecond',
       CASE WHEN %(state)s = 'done' THEN %(since)s::timestamptz + i * interval '1 microsecond' END
FROM (SELECT i, seed FROM generate_series(%(first)s::int, %(last)s) i, unnest(%(seeds)s::bigint[]) seed
      ORDER BY {order}) AS one
"""

SAMPLES = """
INSERT INTO sample (job_id, step, bpb, nll_sum, byte_count, ema, provenance, attempt, created_at)
SELECT id, s * total_steps / %(points)s, final_bpb + (1 - s::float / %(points)s), 1.0, 1000, final_bpb, 'measured', 1,
       created_at
FROM job, generate_series(1, %(points)s) s WHERE state = 'done'
"""

STANDINGS = """
INSERT INTO standing (race_id, rung, recipe_digest, provenance, mean, sd, n, bpbs, promoted, created_at)
SELECT race_id, rung, recipe_digest, 'measured', avg(final_bpb), 1e-9, count(*), '[2.0,2.0,2.0]',
       row_number() OVER (ORDER BY avg(final_bpb)) <= count(*) OVER () / 3, now()
FROM job WHERE state = 'done' GROUP BY race_id, rung, recipe_digest
"""


@contextmanager
def race_database(server: str) -> Iterator[tuple[str, RaceView]]:
    """A new, migrated database with one race in it."""
    with database(server) as url:
        store = open_store(url)
        race = new_race(store)
        store.close()
        yield url, race


def new_race(store: Store, spec: RaceSpec = SPEC) -> RaceView:
    """A race."""
    with store.transaction() as session:
        return races.create(session, spec, datetime.now(UTC))


def fill_jobs(url: str, race: RaceView, jobs: int, first: int = 1, order: str = "i, seed") -> int:
    """Queue jobs, one for each seed of each recipe, the numbers of which begin with `first`. Gives the next number.

    In the order "i, seed" the seeds of a recipe follow each other; in "seed, i" every recipe's first seed comes first.
    """
    return fill(url, race, jobs // len(race.seeds), first, state="queued", points=0, order=order)


def fill_runs(url: str, race: RaceView, runs: int, points: int, first: int = 1) -> int:
    """Store finished runs with their curves and their recipes' standings."""
    return fill(url, race, runs // len(race.seeds), first, state="done", points=points)


def fill(url: str, race: RaceView, recipes: int, first: int, *, state: str, points: int, order: str = "i") -> int:
    """Recipes with a job for each seed; of finished ones the curves and standings too."""
    done = state == "done"
    values = {
        "canonical": CANONICAL, "first": first, "last": first + recipes - 1, "race": race.id, "seeds": list(race.seeds),
        "state": state, "step": 100 if done else 0, "provenance": "measured" if done else None,
        "fence": 1 if done else 0, "worker": "w" if done else None, "since": datetime.now(UTC), "points": points,
    }  # fmt: skip
    with psycopg.connect(url, cursor_factory=psycopg.ClientCursor) as connection:
        connection.execute("SET LOCAL synchronous_commit = off")
        connection.execute(RECIPES.encode(), values)
        connection.execute(JOBS.format(recipe=RECIPE, order=order).encode(), values)
        if done:
            connection.execute(SAMPLES.encode(), values)
            connection.execute(STANDINGS.encode())
        count = b"UPDATE rung SET recipes = recipes + %(recipes)s WHERE race_id = %(race)s AND rung = 0"
        connection.execute(count, {"recipes": recipes, "race": race.id})
    command(url, "VACUUM ANALYZE", "CHECKPOINT")
    return first + recipes
