import json

import pytest

from errors import ImpossibleCombination, InvalidValue, UnknownName
from server.settings import Settings
from server.ttt_command import ttt_command
from tests.forked import run
from tests.serving import TINY


def ttt(data, *options):
    return run(["ttt", "--data", str(data), *options], check=False)


@pytest.mark.slow
def test_the_command_trains_scores_and_reports_a_seed(tmp_path):
    recipe = json.dumps({**TINY, "ttt.stride": 4096})
    done = ttt(tmp_path, "--budget", "20kB", "--recipe", recipe, "--seeds", "1597", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    (seed,) = report["seeds"]
    assert seed["seed"] == 1597
    assert report["mean"] == seed["bpb"] < seed["plain"] < 8
    assert report["sd"] is None
    assert report["met"] == {"G1": False, "G2": False, "G3": False, "WIN": False}


@pytest.mark.parametrize(
    ("budget", "fields", "seeds", "refusal"),
    [
        ("3m", {}, [1], InvalidValue),
        ("3kB", {"ttt": "none"}, [1], ImpossibleCombination),
        ("3kB", {"ttt": "e2ee"}, [1], UnknownName),
        ("3kB", {}, [1, 1], InvalidValue),
    ],
)
def test_what_cannot_be_run_is_refused_before_anything_is_built(tmp_path, budget, fields, seeds, refusal):
    with pytest.raises(refusal):
        ttt_command(Settings(data=tmp_path), "stdlib", fields, budget, seeds, as_json=True)
    assert not list(tmp_path.iterdir())
