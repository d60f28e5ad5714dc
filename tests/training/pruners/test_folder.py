from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.pruners import Pruner, pruners, reached
from training.pruners.ladder import FLOOR, limit_at, limit_passed
from training.pruners.power_law import extrapolated
from training.pruners.race_aware import race_aware


@dataclass(frozen=True, kw_only=True)
class Run:
    phase: float = 0.5
    bpb: float = 3.0
    warmup_fraction: float = 0.1
    peers: tuple = ()
    incumbent: bool = False
    curve: tuple = ()


@dataclass(frozen=True, kw_only=True)
class Through:
    recipe_digest: str
    mean: float | None
    promoted: bool = False


@dataclass(frozen=True, kw_only=True)
class Rung:
    finished: tuple[Through, ...]
    eta: int = 3
    quorum: int = 3
    last_rung: bool = False


bpbs = st.floats(0.3, 8.0)
curves = st.lists(bpbs, min_size=8, max_size=8).map(lambda v: tuple(((i + 1) / 8, b) for i, b in enumerate(v)))
eighths = st.integers(1, 8).map(lambda i: i / 8)
runs = st.builds(Run, phase=eighths, bpb=bpbs, peers=st.lists(curves, max_size=12).map(tuple))
clean = tuple(tuple(((i + 1) / 8, 2 + level / 10 + (8 - i) / 8) for i in range(8)) for level in range(20))


@pytest.fixture(params=list(pruners), scope="module")
def pruner(request) -> Pruner:
    return pruners[request.param]


@given(run=runs)
@settings(max_examples=20)
def test_nobody_is_stopped_before_warm_up_nor_at_the_end_nor_in_the_lead(pruner, run):
    kept = [replace(run, phase=0.05), replace(run, phase=1.0), replace(run, incumbent=True)]
    assert [pruner.survives(one).action for one in kept] == ["continue"] * 3


@given(run=runs, gap=bpbs)
@settings(max_examples=20)
def test_a_worse_value_is_never_kept_where_a_better_one_is_stopped(pruner, run, gap):
    if pruner.survives(run).action == "prune":
        assert pruner.survives(replace(run, bpb=run.bpb + gap)).action == "prune"


@given(run=runs)
@settings(max_examples=20)
def test_asking_again_gives_the_same_verdict_with_numbers(pruner, run):
    first = pruner.survives(run)
    assert first == pruner.survives(run)
    assert first.numbers["phase"] == run.phase


@given(run=runs)
@settings(max_examples=20)
def test_a_run_better_than_all_its_peers_is_stopped_by_fixed_limits_alone(pruner, run):
    best = min([value for curve in run.peers for _, value in curve], default=run.bpb) - 0.1
    if pruner is not pruners["ladder"]:
        assert pruner.survives(replace(run, bpb=best)).action == "continue"


@given(means=st.lists(st.none() | bpbs, max_size=12))
@settings(max_examples=20)
def test_lost_recipes_never_move_and_nobody_moves_twice(pruner, means):
    rung = Rung(finished=tuple(Through(recipe_digest=f"{i:02}", mean=mean) for i, mean in enumerate(means)))
    moved = {promotion.recipe_digest for promotion in pruner.promotions(rung)}
    assert all(one.mean is not None for one in rung.finished if one.recipe_digest in moved)
    again = replace(rung, finished=tuple(replace(one, promoted=one.recipe_digest in moved) for one in rung.finished))
    assert pruner.promotions(again) == []
    assert pruner.promotions(replace(rung, last_rung=True)) == []


@pytest.mark.parametrize(("name", "phase"), [("race_aware", 0.5), ("asha", 0.375), ("median", 0.375), ("ladder", 0.5)])
def test_a_hopeless_run_in_a_race_with_a_clean_signal_is_stopped(name, phase):
    hopeless = Run(phase=phase, bpb=9.0, peers=clean)
    assert pruners[name].survives(hopeless).action == "prune"
    assert pruners["none"].survives(hopeless).action == "continue"


def test_race_aware_holds_fire_where_early_values_tell_nothing():
    misleading = tuple((*curve[:-1], (1.0, 4 - i / 10)) for i, curve in enumerate(clean))
    told = race_aware.survives(Run(bpb=9.0, peers=clean))
    held = race_aware.survives(Run(bpb=9.0, peers=misleading))
    assert (told.action, held.action) == ("prune", "continue")
    assert told.numbers["correlation"] > 0.8 > 0.2 > held.numbers["correlation"]
    assert told.numbers["expected_loss"] < 0.01 < held.numbers["chance"]


def test_a_run_is_compared_at_its_first_value_at_or_after_a_look():
    assert reached(Run(phase=0.375, peers=clean), (0.3,))
    assert not reached(Run(phase=0.5, peers=clean), (0.3,))
    assert not reached(Run(phase=0.25, peers=clean), (0.3,))


@given(st.floats(0, 1), bpbs, bpbs)
def test_the_ladder_stops_the_worse_of_two_where_its_original_form_stops_the_better(phase, one, two):
    better, worse = sorted((one, two))
    assert limit_passed(phase, worse) >= limit_passed(phase, better)
    assert limit_passed(1.0, 2.0, faithful=True) and not limit_passed(1.0, FLOOR, faithful=True)


def test_the_ladder_has_no_limit_below_its_first_rung():
    assert (limit_at(0.03), limit_at(0.04), limit_at(0.5)) == (None, 3.00, 2.30)


def fallen(to: float, phase: float) -> Run:
    curve = tuple((i / 20, to + 0.3 * (i / 20) ** -0.5 - 0.3) for i in range(1, 21) if i / 20 <= phase)
    return Run(phase=phase, bpb=curve[-1][1], peers=clean, curve=curve)


def test_a_power_law_is_continued_to_its_end():
    end, deviation = extrapolated(fallen(2.5, 0.5).curve)
    assert (end, deviation) == (pytest.approx(2.5, abs=1e-9), pytest.approx(0, abs=1e-9))


@given(st.floats(2.0, 5.0))
def test_power_law_stops_what_will_end_above_the_median_of_the_finals(to):
    verdict = pruners["power_law"].survives(fallen(to, 0.5))
    assert (verdict.action == "prune") == (verdict.numbers["end"] - 1.96 * verdict.numbers["deviation"] > 2.95 + 0.125)


@given(st.lists(st.floats(2.0, 5.0), min_size=5, max_size=9))
def test_a_power_law_that_rises_is_read_as_flat(values):
    rising = tuple(((i + 1) / 10, value) for i, value in enumerate(sorted(values)))
    assert extrapolated(rising)[0] == pytest.approx(sum(values) / len(values))


@pytest.mark.parametrize(
    ("phase", "level", "wobble", "action"),
    [
        (0.75, 4.0, 0.004, "prune"),
        (0.5, 4.0, 0.004, "continue"),
        (0.75, 2.0, 0.004, "continue"),
        (0.75, 4.0, 0.006, "continue"),
    ],
)
def test_plateau_stops_what_stands_still_late_and_high(phase, level, wobble, action):
    curve = tuple((phase - (5 - i) / 100, level + wobble * (i % 2)) for i in range(6))
    assert pruners["plateau"].survives(Run(phase=phase, bpb=level, peers=clean, curve=curve)).action == action
