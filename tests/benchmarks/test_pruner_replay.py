import numpy as np
import pytest

from benchmarks.pruner_policies import RaceAware, race_aware
from benchmarks.pruner_replay import BUDGETS, Policy, pool, replay, stream
from benchmarks.pruners import DATA, interval, load, trainings


@pytest.fixture(scope="module")
def race():
    return load(DATA / "pgval.npz", 0)["race00"]


class StopsAll(Policy):
    def report(self, run, point, value):
        return "stop"


def test_races_are_split_by_number_and_share_no_race():
    even, odd, every = (load(DATA / "pgval.npz", parity) for parity in (0, 1, None))
    assert (len(even), len(odd), len(every)) == (10, 10, 20)
    assert not set(even) & set(odd)


@pytest.mark.parametrize("workers", [1, 4, 16])
def test_without_pruning_every_point_is_used_once_and_the_best_run_completed(race, workers):
    done = replay(Policy(8, "race00", 0), race, np.arange(len(race)), workers)
    assert (done.used, done.begun, len(done.complete)) == (race.size, len(race), len(race))
    assert pool(Policy, "race00", race, 0, workers)["kept"]


def test_a_pruner_that_stops_all_completes_nothing(race):
    result = pool(StopsAll, "race00", race, 0, 4)
    assert (result["trainings"], result["kept"], result["cost"]) == (None, False, 1 / 8)
    assert set(stream(StopsAll, "race00", race, 0, 4).values()) == {1.5}


@pytest.mark.parametrize("workers", [1, 4])
def test_ours_loses_no_run_and_its_replay_is_reproducible(race, workers):
    first, again = (pool(race_aware(), "race00", race, 1, workers) for _ in range(2))
    assert first == again
    assert first["kept"] and first["cost"] == 1.0


def test_ours_sees_no_final_before_it_is_trained(race):
    blind = race.copy()
    blind[:, -1] = np.random.default_rng(0).permutation(race[:, -1])
    order = np.arange(len(race))
    seen, hidden = (replay(RaceAware(8, None), values, order, 1) for values in (race, blind))
    first = seen.complete[0]
    assert first[:2] == hidden.complete[0][:2]


def test_a_stream_stops_at_its_budget_and_regret_never_rises(race):
    found = stream(race_aware(), "race00", race, 0, 4)
    assert list(found) == list(BUDGETS)
    assert sorted(found.values(), reverse=True) == list(found.values())


def test_a_race_without_a_hit_is_started_again():
    hit, miss = {"trainings": 4.0, "all": 9.0}, {"trainings": None, "all": 6.0}
    assert trainings([hit, miss]) == 10.0
    assert trainings([miss]) is None


def test_an_interval_holds_the_mean_and_is_a_point_without_spread():
    low, high = interval([1.0, 2.0, 3.0])
    assert low < 2.0 < high
    assert interval([2.0, 2.0]) == (2.0, 2.0)
