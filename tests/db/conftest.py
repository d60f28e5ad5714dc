"""What the store's tests share: a fresh database each, a clock that tests move, and short words for what workers do.

What takes a `world` runs on both engines. PostgreSQL is the server of a wheel, started once; IGLA_TEST_DATABASE_URL
names another server, where the databases of the tests come and go.
"""

import json
import shutil
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import log
from pathlib import Path

import pytest
from sqlalchemy import make_url, select

from db import artifacts, leaderboard, migrate, queue, races, samples
from db.races import RaceSpec
from db.samples import Batch, SampleIn
from db.store import open_store, run
from db.tables import Base
from tests.postgres import command, named

START = datetime(2030, 1, 1, tzinfo=UTC)
LEASE = 60.0


@dataclass(frozen=True, kw_only=True)
class Verdict:
    action: str
    reason: str
    numbers: dict


@dataclass(frozen=True, kw_only=True)
class Promotion:
    recipe_digest: str
    reason: str
    numbers: dict


class SimpleJudge:
    """Stops what is above 7 bits per byte; moves up the best third of those through, once the quorum is there."""

    def __init__(self):
        self.run_facts = []
        self.rung_facts = []

    def survives(self, facts):
        self.run_facts.append(facts)
        stop = facts.bpb > 7
        return Verdict(
            action="prune" if stop else "continue", reason="above_7" if stop else "fine", numbers={"bpb": facts.bpb}
        )

    def promotions(self, facts):
        self.rung_facts.append(facts)
        if len(facts.finished) < facts.quorum or facts.last_rung:
            return []
        ranked = sorted((one.mean, one.recipe_digest) for one in facts.finished if one.mean is not None)
        places = {digest for _, digest in ranked[: len(facts.finished) // facts.eta]}
        return [
            Promotion(recipe_digest=one.recipe_digest, reason="top", numbers={"mean": one.mean})
            for one in facts.finished
            if one.recipe_digest in places and not one.promoted
        ]

    def steps(self, recipe_canonical, budget_bytes):
        return max(1, budget_bytes // json.loads(recipe_canonical)["step_bytes"])


class World:
    """A store, the time, and one call for each thing that somebody does. Every call is a transaction of its own."""

    def __init__(self, store):
        self.store = store
        self.now = START
        self.judge = SimpleJudge()

    def wait(self, seconds):
        self.now += timedelta(seconds=seconds)

    def do(self, function, *args, **kwargs):
        with self.store.transaction() as session:
            return function(session, *args, **kwargs)

    def look(self, function, *args, **kwargs):
        with self.store.reading() as session:
            return function(session, *args, **kwargs)

    def race(self, name="r", **settings):
        usual = {"corpus": "c" * 64, "corpus_name": "books", "budget_bytes": 9000, "seeds": (11, 5)}
        return self.do(races.create, RaceSpec(name=name, **{**usual, **settings}), self.now)

    def submit(self, race, digest="a", total_steps=None, **settings):
        recipe = queue.RecipeText(digest=digest, name=f"recipe {digest}", canonical='{"step_bytes":10}')
        steps = total_steps or self.judge.steps(recipe.canonical, race.bytes_at(settings.get("rung", 0)))
        return self.do(queue.submit, race, recipe, steps, **{"created_by": "me", "now": self.now, **settings})

    def claim(self, worker="w", n=1, race_id=None, lease=LEASE):
        return self.do(
            queue.claim, worker=worker, now=self.now, lease_seconds=lease, judge=self.judge, race_id=race_id, n=n
        )

    def claim_one(self, **settings):
        return self.claim(**settings)[0]

    def batch(self, ticket, *values, **settings):
        """values: (step, bpb) pairs, or samples."""
        usual = {
            "job_id": ticket.job_id, "fence": ticket.fence, "effective_digest": ticket.recipe_digest,
            "provenance": "measured", "checkpoint": "chk", "environment": "env", "receipt": None,
            "lease_seconds": LEASE,
            "samples": tuple(value if isinstance(value, SampleIn) else sample(*value) for value in values),
        }  # fmt: skip
        return Batch(**{**usual, **settings})

    def write(self, ticket, *values, **settings):
        self.do(artifacts.record, "chk", "checkpoint", 1, START)
        return self.do(samples.write, self.batch(ticket, *values, **settings), self.judge, self.now)

    def finish(self, ticket, bpb, **settings):
        return self.write(ticket, (ticket.total_steps, bpb), **settings)

    def run_recipe(self, race, digest, bpbs, **settings):
        """Submit a recipe and finish its seeds, in the race's order, with these values."""
        jobs = self.submit(race, digest)
        by_id = {ticket.job_id: ticket for ticket in self.claim(n=len(jobs), race_id=race.id)}
        return [self.finish(by_id[job.id], bpb, **settings) for job, bpb in zip(jobs, bpbs, strict=True)]

    def job(self, job_id):
        return self.look(queue.job, job_id)

    def curve(self, job_id):
        return self.look(samples.curve, job_id)

    def board(self, race, **settings):
        return self.look(leaderboard.rows, race, **settings)

    def dump(self):
        """Every row of every table, to compare before with after."""
        with self.store.reading() as session:
            return {
                name: sorted(map(repr, run(session, select(table)))) for name, table in Base.metadata.tables.items()
            }


def sample(step, bpb, byte_count=1000):
    nll_sum = bpb * log(2) * byte_count
    return SampleIn(step=step, bpb=bpb, nll_sum=nll_sum, byte_count=byte_count)


class Sqlite:
    """Databases that are copies of one empty, migrated file."""

    def __init__(self, folder):
        self.folder = folder
        self.template = folder / "template.db"
        open_store(f"sqlite:///{self.template}").close()

    def lend(self):
        return f"sqlite:///{shutil.copy(self.template, self.folder / f'{uuid.uuid4().hex}.db')}"

    def take_back(self, url):
        for file in self.folder.glob(f"{Path(make_url(url).database).stem}*"):
            file.unlink()


class PostgreSQL:
    """Databases that are copies of one empty, migrated database; one that comes back is emptied and lent again."""

    def __init__(self, server):
        self.server = server
        self.free = []
        self.made = [f"igla_{uuid.uuid4().hex}"]
        command(server, f"CREATE DATABASE {self.made[0]}")
        open_store(named(self.server, self.made[0])).close()

    def lend(self):
        if self.free:
            return self.free.pop()
        self.made.append(f"igla_{uuid.uuid4().hex}")
        command(self.server, f"CREATE DATABASE {self.made[-1]} TEMPLATE {self.made[0]}")
        return named(self.server, self.made[-1])

    def take_back(self, url):
        tables = ", ".join(Base.metadata.tables)
        version = f"UPDATE alembic_version SET version_num = '{migrate.versions()[-1]}'"
        command(url, f"TRUNCATE {tables} RESTART IDENTITY", version)
        self.free.append(url)

    def drop(self):
        for name in self.made:
            command(self.server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def databases(request, tmp_path_factory):
    """Where empty databases that are up to date come from."""
    if request.param == "sqlite":
        yield Sqlite(tmp_path_factory.mktemp("databases"))
        return
    made = PostgreSQL(request.getfixturevalue("postgresql"))
    yield made
    made.drop()


@pytest.fixture
def new_url(databases):
    """A function that gives the URL of an empty database."""
    lent = []

    def lend():
        lent.append(databases.lend())
        return lent[-1]

    yield lend
    for url in lent:
        databases.take_back(url)


@pytest.fixture
def new_world(new_url):
    """A function that makes a world; all are closed at the end."""
    worlds = []

    def make():
        worlds.append(World(open_store(new_url())))
        return worlds[-1]

    yield make
    for world in worlds:
        world.store.close()


@pytest.fixture
def world(new_world):
    return new_world()


@pytest.fixture
def sample_of():
    return sample


@pytest.fixture
def unchanged(world):
    """A context in which something is refused and no row of any table changes."""

    class Unchanged:
        def __init__(self, refusal, text=None):
            self.raises = pytest.raises(refusal, match=text)

        def __enter__(self):
            self.before = world.dump()
            return self.raises.__enter__()

        def __exit__(self, *error):
            swallowed = self.raises.__exit__(*error)
            assert world.dump() == self.before
            return swallowed

    return Unchanged
