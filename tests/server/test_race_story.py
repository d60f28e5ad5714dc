"""`igla race` from plan to board, as a user runs it."""

import json
import subprocess
import sys

import pytest

from tests.serving import ROOT, TINY

RECIPES = [TINY, {**TINY, "ngram": 0}, {**TINY, "optimizer": "adamw"}]


def race(data, *options):
    command = [sys.executable, "-m", "server.cli", "race", "--data", str(data), "--name", "cup", "--json", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


@pytest.mark.slow
def test_a_race_ends_with_a_measured_board_and_a_report_and_started_again_it_changes_nothing(tmp_path):
    options = ("--budget", "100kB", "--recipes", json.dumps(RECIPES), "--seeds", "1,2")
    first, said = race(tmp_path, *options)
    assert [(row["rank"], row["rung"], row["n"]) for row in first["rows"]] == [(1, 2, 2), (2, 0, 2), (3, 0, 2)]
    assert {row["provenance"] for row in first["rows"]} == {"measured"}
    assert all(row["seeds"] == [1, 2] and row["sd"] > 0 and 0.3 < row["mean"] < 8 for row in first["rows"])
    assert 2.0 < first["baseline"] < 4.0
    for shown in ("leaderboard of cup", "promote", "best_1_in_3", "Witten-Bell", "igla.db", "cup.html"):
        assert shown in said
    report = (tmp_path / "cup.html").read_text()
    assert report.count('class="run ') == 2 * (3 + 1 + 1)
    again, said = race(tmp_path, *options)
    assert again == first
    assert "goes on with its own budget" in said


def test_the_command_refuses_a_wrong_name_with_the_nearest_one():
    command = [sys.executable, "-m", "server.cli", "race", "--grid", '{"optimizer": ["adamww"]}']
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "unknown_name: There is no optimizer 'adamww'. Did you mean 'adamw'?" in done.stderr
