import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import ImpossibleCombination, UnknownName
from training.cms import cms
from training.conductor import Schedule, continuum, share
from training.recipe import NONE, recipe_from


def levels_of(**fields):
    return continuum(recipe_from({"cms": "basic", **fields}))


def fired(levels, schedule, steps):
    return [step for step in range(steps) if levels.pulse(step, (schedule,)).active[0]]


def test_without_the_field_there_are_no_levels():
    assert continuum(recipe_from({})) is None
    assert recipe_from({}).cms == NONE


def test_periods_grow_by_the_ratio_and_level_0_fires_after_every_step():
    levels = levels_of(**{"cms.levels": 4})
    schedules = [levels.schedule(0, level) for level in range(4)]
    assert [schedule.period for schedule in schedules] == [1, 8, 64, 512]
    assert [len(fired(levels, schedule, 1000)) for schedule in schedules] == [1000, 125, 15, 1]
    assert fired(levels, schedules[1], 20) == [7, 15]


def test_1_14_levels_fire_a_step_on_average():
    levels = levels_of(**{"cms.levels": 4})
    schedules = tuple(levels.schedule(0, level) for level in range(4))
    active = [sum(levels.pulse(step, schedules).active) for step in range(512)]
    assert sum(active) / 512 == 1 + 1 / 8 + 1 / 64 + 1 / 512
    assert max(active) == 4


def test_in_tokens_a_level_fires_after_the_step_that_passes_its_boundary():
    levels = levels_of(**{"cms.unit": "token", "cms.first": 512, "cms.ratio": 5, "batch": 6, "context": 100})
    assert levels.schedule(0, 0) == Schedule(period=600)
    assert fired(levels, levels.schedule(0, 0), 3) == [0, 1, 2]
    slow = levels.schedule(0, 1)
    assert slow.period == 2560
    assert fired(levels, slow, 14) == [4, 8, 12]
    assert levels.pulse(4, (slow,)).boundaries == (2560,)


@given(st.integers(1, 40), st.integers(0, 39), st.integers(0, 200))
def test_a_schedule_fires_once_in_every_period_and_never_before_its_first_boundary(period, phase, begin):
    schedule, levels = Schedule(period=period, phase=phase % period), levels_of()
    assert sum(levels.pulse(step, (schedule,)).active[0] for step in range(begin, begin + period)) in (
        (1,) if begin >= schedule.phase else (0, 1)
    )
    for step in fired(levels, schedule, 100):
        assert (step + 1 - schedule.phase) % period == 0


@pytest.mark.parametrize(("buffer", "expected"), [("sum", 1.0), ("mean", 1 / 9), ("sqrt", 1 / 3)])
def test_an_update_takes_the_sum_the_mean_or_the_sum_over_the_root(buffer, expected):
    assert share(buffer, 9) == pytest.approx(expected)


def test_learned_gates_take_over_step_by_step_and_by_the_seed_alone():
    levels = levels_of(**{"cms.gates": "learned", "cms.anneal": 0.5})
    drawn = [levels.always(7, step, 1000) for step in range(1000)]
    assert drawn == [levels.always(7, step, 1000) for step in range(1000)]
    assert drawn != [levels.always(8, step, 1000) for step in range(1000)]
    early, middle, late = sum(drawn[:50]), sum(drawn[225:275]), sum(drawn[500:])
    assert early > 42 and 13 < middle < 37 and late == 0
    assert not any(levels_of(**{"cms.anneal": 0.0}).always(7, step, 10) for step in range(10))


def test_depths_of_variants():
    depths = {name: [cms[name].depth(block, 4, 4) for block in range(4)] for name in cms}
    assert depths == {
        "basic": [4, 4, 4, 4],
        "hybrid": [1, 4, 1, 4],
        "independent": [4, 4, 4, 4],
        "nested": [4, 4, 4, 4],
        "sequential": [1, 2, 3, 4],
    }


@given(st.integers(1, 64), st.integers(1, 4))
def test_sequential_never_has_fewer_levels_further_up_and_all_in_the_last_block(blocks, levels):
    depths = [cms["sequential"].depth(block, blocks, levels) for block in range(blocks)]
    assert depths == sorted(depths)
    assert depths[0] >= 1 and depths[-1] == levels


def test_independent_blocks_fire_apart():
    levels = levels_of(cms="independent", blocks=4, **{"cms.ratio": 8})
    assert levels.options["aggregation"] == "parallel"
    assert [fired(levels, levels.schedule(block, 1), 16) for block in range(4)] == [[7, 15], [1, 9], [3, 11], [5, 13]]


def test_parts_of_a_level_fire_apart_in_every_block():
    levels = levels_of(cms="independent", blocks=2, **{"cms.ratio": 8, "cms.heads": 4})
    found = [fired(levels, levels.schedule(block, 1, head), 8) for block in range(2) for head in range(4)]
    assert sorted(step for steps in found for step in steps) == list(range(8))


@given(st.integers(1, 4), st.floats(0, 1), st.integers(1, 300))
def test_levels_come_one_by_one_and_none_goes(depth, stack, total):
    levels = levels_of(**{"cms.stack": stack})
    present = [levels.present(depth, step, total) for step in range(total)]
    assert present == sorted(present)
    assert set(present) <= set(range(1, depth + 1))
    for step, count in enumerate(present):
        if (step + 0.5) / total >= stack:
            assert count == depth
        elif depth > 1 and stack > 0 and (step + 0.5) / total < stack / (depth - 1):
            assert count == 1


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"cms": "basic", "cms.heads": 2}, "basic does not combine with cms.heads 2; allowed: 1"),
        ({"cms": "nested", "cms.stack": 0.5}, "nested does not combine with cms.stack 0.5"),
        ({"cms": "basic", "cms.stack": 0.5, "ttt": "sgd"}, "sgd does not combine with cms.stack 0.5"),
        ({"cms": "basic", "cms.stack": 0.5, "optimizer": "schedulefree"}, "schedulefree does not combine"),
    ],
)
def test_what_does_not_go_with_parts_or_stacking_is_refused(fields, named):
    with pytest.raises(ImpossibleCombination, match=named):
        recipe_from(fields)


def test_starts_are_learned_at_the_pace_of_the_next_or_of_the_slowest_level():
    nested, sequential = (levels_of(cms=name, **{"cms.levels": 3}) for name in ("nested", "sequential"))
    assert [nested.restart(0, level) for level in range(3)] == [Schedule(period=8), Schedule(period=64), None]
    assert [sequential.restart(0, level) for level in range(3)] == [Schedule(period=64), Schedule(period=64), None]
    assert levels_of().restart(0, 0) is None


def test_hybrid_needs_a_block_of_each_kind():
    with pytest.raises(ImpossibleCombination, match="hybrid needs blocks of at least 2"):
        recipe_from({"cms": "hybrid"})
    assert recipe_from({"cms": "hybrid", "blocks": 2}).cms == "hybrid"


def test_an_unknown_variant_is_refused_by_the_field_s_name():
    with pytest.raises(UnknownName, match=r"cms.*Did you mean 'basic'"):
        recipe_from({"cms": "basi"})
