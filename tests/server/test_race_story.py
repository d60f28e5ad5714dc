"""`igla race` from plan to board, as a user runs it."""

import json
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from subprocess import PIPE

import pytest

from db import queue, races
from server.runtime import open_runtime
from server.settings import Settings
from tests.forked import Forked, run
from tests.serving import TINY, fresh

RECIPES = [TINY, {**TINY, "ngram": 0}, {**TINY, "optimizer": "adamw"}]


def race(data, *options, run=run):
    done = run(["race", "--data", str(data), "--name", "cup", "--json", *options], check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


@pytest.mark.slow
def test_a_race_ends_with_a_measured_board_and_a_report_and_started_again_it_changes_nothing(tmp_path):
    options = ("--budget", "50kB", "--recipes", json.dumps(RECIPES), "--seeds", "1,2")
    first, said = race(tmp_path, *options)
    assert [(row["rank"], row["rung"], row["n"]) for row in first["rows"]] == [(1, 2, 2), (2, 0, 2), (3, 0, 2)]
    assert {row["provenance"] for row in first["rows"]} == {"measured"}
    assert all(row["seeds"] == [1, 2] and row["sd"] > 0 and 0.3 < row["mean"] < 8 for row in first["rows"])
    assert 2.0 < first["baseline"] < 4.0
    for shown in ("leaderboard of cup", "promote", "best_1_in_3", "Witten-Bell", "igla.db", "cup.html"):
        assert shown in said
    report = (tmp_path / "cup.html").read_text()
    assert report.count('class="run ') == 2 * (3 + 1 + 1)
    again, said = race(tmp_path, *options, "--engines", "1", run=fresh)
    assert again == first
    assert "goes on with its own budget" in said


@pytest.mark.slow
def test_a_known_race_goes_on_without_its_options_and_a_recipe_beyond_belief_ends_as_errored(tmp_path):
    wild = {**TINY, "optimizer": "adamw", "adamw.embedding_lr": 1.0}
    first, said = race(tmp_path, "--budget", "40kB", "--recipes", json.dumps([TINY, wild]), "--seeds", "1,2")
    assert [(row["rung"], row["n"]) for row in first["rows"]] == [(2, 2)]
    assert "diverged" in said
    again, _ = race(tmp_path)
    assert again == first


@pytest.mark.slow
def test_two_commands_on_one_race_share_its_jobs(tmp_path):
    options = ["--budget", "20kB", "--recipes", json.dumps([TINY]), "--seeds", "1", "--engines", "1"]
    with ThreadPoolExecutor() as both:
        (one, _), (other, _) = both.map(lambda _: race(tmp_path, *options), range(2))
    assert one == other
    assert "process_died" not in (tmp_path / "engine.log").read_text()


@pytest.mark.slow
def test_an_interrupted_race_gives_its_jobs_back_at_once(tmp_path):
    recipes = ["--recipes", json.dumps([TINY]), "--seeds", "1", "--engines", "1"]
    words = ["race", "--data", str(tmp_path), "--name", "cup", "--budget", "40MB", *recipes]
    process = Forked(words, stdout=PIPE, text=True)
    runtime = open_runtime(Settings(data=tmp_path))
    try:
        assert wait_for(lambda: states(runtime) == {"running": 1})
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "To go on: igla race --name cup --data" in said
    assert states(runtime) == {"queued": 1}


def states(runtime):
    """Jobs of the race by state; nothing before the race exists."""
    with runtime.store.reading() as session:
        found = [race for race in races.listing(session) if race.name == "cup"]
        return queue.counts(session, found[0].id) if found else {}


def wait_for(condition):
    """Look until the condition holds, for a minute at most."""
    end = time.monotonic() + 60
    while time.monotonic() < end and not condition():
        time.sleep(0.05)
    return condition()


def test_the_command_refuses_a_wrong_name_with_the_nearest_one():
    done = run(["race", "--grid", '{"optimizer": ["adamww"]}'], check=False)
    assert done.returncode == 2
    assert "unknown_name: There is no optimizer 'adamww'. Did you mean 'adamw'?" in done.stderr
