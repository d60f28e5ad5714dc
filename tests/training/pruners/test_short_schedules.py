from dataclasses import dataclass, replace

from hypothesis import given
from hypothesis import strategies as st

from training.pruners import pruners, value_at
from training.pruners.short_schedules import DISASTER, short_schedules


@dataclass(frozen=True, kw_only=True)
class Run:
    phase: float = 0.5
    bpb: float = 3.0
    warmup_fraction: float = 0.1
    peers: tuple = (((0.5, 3.0), (1.0, 2.5)),) * 3
    incumbent: bool = False


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
curves = st.lists(bpbs, min_size=1, max_size=6).map(lambda v: tuple(((i + 1) / len(v), b) for i, b in enumerate(v)))
runs = st.builds(
    Run, phase=st.floats(0.001, 1), bpb=bpbs, peers=st.lists(curves, max_size=8).map(tuple), incumbent=st.booleans()
)
means = st.lists(st.none() | bpbs, max_size=30)
rungs = st.builds(
    lambda values, eta, quorum: Rung(
        finished=tuple(Through(recipe_digest=f"{i:02}", mean=v) for i, v in enumerate(values)), eta=eta, quorum=quorum
    ),
    means,
    st.integers(2, 5),
    st.integers(1, 12),
)


def test_the_file_offers_the_pruner_by_name():
    assert pruners["short_schedules"] is short_schedules


@given(runs)
def test_nothing_is_stopped_before_warm_up_nor_at_the_end_nor_when_it_leads(run):
    kept = [replace(run, phase=0.0999), replace(run, phase=1.0), replace(run, incumbent=True)]
    assert [short_schedules.survives(one).action for one in kept] == ["continue"] * 3


@given(runs)
def test_a_stopped_run_is_above_the_limit_that_its_decision_states(run):
    verdict = short_schedules.survives(run)
    if verdict.action == "prune":
        assert run.bpb > verdict.numbers["limit"] == DISASTER * verdict.numbers["median"]
        assert verdict.numbers["peers"] >= 3


@given(runs, st.floats(0.0, 5.0))
def test_a_worse_value_is_never_kept_where_a_better_one_is_stopped(run, gap):
    if short_schedules.survives(run).action == "prune":
        assert short_schedules.survives(replace(run, bpb=run.bpb + gap)).action == "prune"


def test_a_disaster_is_stopped_and_its_neighbour_kept():
    assert short_schedules.survives(Run(bpb=3.46)).action == "prune"
    assert short_schedules.survives(Run(bpb=3.44)).action == "continue"


def test_values_are_compared_at_equal_phase_between_points():
    assert value_at(((0.2, 4.0), (0.6, 3.0)), 0.4) == 3.5
    assert value_at(((0.2, 4.0), (0.6, 3.0)), 0.1) is None
    assert value_at(((0.2, 4.0), (0.6, 3.0)), 0.7) is None
    assert value_at(((1.0, 2.0),), 1.0) == 2.0


@given(rungs)
def test_only_the_best_one_in_eta_move_and_only_after_the_quorum(rung):
    moved = [promotion.recipe_digest for promotion in short_schedules.promotions(rung)]
    measured = {through.recipe_digest: through.mean for through in rung.finished if through.mean is not None}
    places = max(1, len(rung.finished) // rung.eta) if len(rung.finished) >= rung.quorum else 0
    assert len(moved) == min(places, len(measured))
    left = [mean for digest, mean in measured.items() if digest not in moved]
    assert all(measured[digest] <= other for digest in moved for other in left)


@given(rungs)
def test_nobody_moves_twice(rung):
    moved = {promotion.recipe_digest for promotion in short_schedules.promotions(rung)}
    again = replace(rung, finished=tuple(replace(t, promoted=t.recipe_digest in moved) for t in rung.finished))
    assert short_schedules.promotions(again) == []


@given(rungs)
def test_the_last_rung_promotes_nobody(rung):
    assert short_schedules.promotions(replace(rung, last_rung=True)) == []


def test_a_late_finisher_is_promoted_beside_earlier_ones():
    early = tuple(Through(recipe_digest=str(i), mean=2.5 + i, promoted=i == 0) for i in range(5))
    late = Through(recipe_digest="late", mean=2.0)
    assert [p.recipe_digest for p in short_schedules.promotions(Rung(finished=(*early, late)))] == ["late"]
