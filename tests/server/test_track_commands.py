"""`igla track` as people type it."""

import json

import pytest
from typer.testing import CliRunner

from errors import UnknownName
from server.cli import app
from server.tracks import TrackCorpusMissing
from tests.arena import track_file
from tests.serving import ROOT
from tests.training.arena.test_logs import EARLY, SUBMISSION, whole
from training.arena.entry import BadScript
from training.arena.sandbox import why_not
from training.arena.tracks import tracks

sandboxed = pytest.mark.skipif(why_not() is not None, reason=f"no sandbox here: {why_not()}")
PLAIN = ROOT / "docs" / "examples" / "predict_plain.py"


@pytest.fixture
def igla(runtime):
    """A function that runs a command on the runtime's data folder and gives exit code and output."""

    def run(*words, code=0):
        options = () if words[0] == "log" else ("--data", str(runtime.settings.data))
        done = CliRunner().invoke(app, ["track", *map(str, words), *options])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == code, done.output
        return done.output

    return run


def test_every_track_is_listed_and_shown(igla):
    listed = json.loads(igla("list", "--json"))
    assert [one["name"] for one in listed] == list(tracks())
    assert json.loads(igla("show", "track_cpu_2min_1mb", "--json"))["limits"]["train_seconds"] == 120
    assert "track_10min_16mb" in igla("list")


def test_an_unknown_track_is_refused_with_the_nearest(igla):
    with pytest.raises(UnknownName, match="track_10min_16mb"):
        igla("show", "track_10min_16m")


def test_a_corpus_that_is_not_here_is_refused_with_the_next_step(igla):
    with pytest.raises(TrackCorpusMissing, match="corpora"):
        igla("run", "track_10min_16mb", PLAIN)


@sandboxed
def test_an_entry_is_tried_here_without_a_server(igla, runtime):
    track = track_file(runtime)
    found = json.loads(igla("run", track, PLAIN, "--all-seeds", "--json"))
    assert [(one["seed"], one["failed"], one["provenance"]) for one in found["outcomes"]] == [
        (3, None, "measured"),
        (5, None, "measured"),
    ]
    assert "bits per byte, measured" in igla("run", track, PLAIN)


@sandboxed
def test_an_entry_that_fails_ends_with_code_1_and_the_check(igla, runtime, tmp_path):
    script = tmp_path / "wrong.py"
    script.write_text("raise SystemExit(4)\n")
    assert "failed: entry_failed" in igla("run", track_file(runtime), script, code=1)


def test_a_script_that_is_not_in_the_one_form_is_refused(igla, runtime, tmp_path):
    script = tmp_path / "wrong.py"
    script.write_bytes(b"print()\r\n")
    with pytest.raises(BadScript):
        igla("run", track_file(runtime), script)


def test_the_board_of_a_track_shows_its_gates(igla, runtime):
    track = track_file(runtime, gates=[{"name": "G1", "below": 2.5}])
    assert json.loads(igla("board", track, "--json"))["gates"][0]["met"] is False
    assert "gate G1: each seed below 2.5: not met" in igla("board", track)


def test_logs_and_a_submission_are_read_as_claims_and_compared(igla, tmp_path):
    log, submission = tmp_path / "train_seed42.log", tmp_path / "submission.json"
    log.write_bytes(whole(EARLY))
    submission.write_text(json.dumps({**SUBMISSION, "val_bpb": 1.2, "author": "\x1b[31mA"}))
    found = json.loads(igla("log", log, submission, "--json"))
    assert (found["logs"][0]["val_bpb"], found["logs"][0]["provenance"]) == (1.21632999, "claimed")
    assert "the submission says 1.20000" in found["disagreements"][0]
    shown = igla("log", log, submission)
    assert "they disagree" in shown
    assert "\x1b[31mA" not in shown
