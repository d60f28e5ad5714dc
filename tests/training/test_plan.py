import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import InvalidValue, UnknownName
from training.plan import MOST_RECIPES, Plan, label, recipes_of
from training.recipe import recipe_from

DEFAULT = recipe_from({})
grids = st.fixed_dictionaries(
    {},
    optional={
        "blocks": st.lists(st.integers(1, 8), min_size=1, max_size=4),
        "batch": st.lists(st.integers(1, 64), min_size=1, max_size=4),
        "optimizer": st.lists(st.sampled_from(["adamw", "muon"]), min_size=1, max_size=2),
    },
)


@given(grids)
def test_a_grid_is_every_combination_once(grid):
    found = [(r.blocks, r.batch, r.optimizer) for r in recipes_of(Plan(grid=grid))]
    wanted = {
        (blocks, batch, optimizer)
        for blocks in grid.get("blocks", [DEFAULT.blocks])
        for batch in grid.get("batch", [DEFAULT.batch])
        for optimizer in grid.get("optimizer", [DEFAULT.optimizer])
    }
    assert len(found) == len(wanted)
    assert set(found) == wanted


def test_an_empty_plan_is_the_base_alone():
    assert recipes_of(Plan(base={"blocks": 3})) == [recipe_from({"blocks": 3})]


def test_single_recipes_stand_over_the_base_and_beside_the_grid():
    plan = Plan(base={"batch": 4}, grid={"blocks": [1, 2]}, recipes=[{"blocks": 5}])
    assert [(r.blocks, r.batch) for r in recipes_of(plan)] == [(1, 4), (2, 4), (5, 4)]
    assert [r.blocks for r in recipes_of(Plan(recipes=[{"blocks": 5}]))] == [5]


def test_one_wrong_recipe_refuses_the_whole_plan():
    with pytest.raises(UnknownName):
        recipes_of(Plan(grid={"optimizer": ["adamw", "adamww"]}))


def test_a_plan_that_is_too_large_is_refused_before_it_is_expanded():
    with pytest.raises(InvalidValue, match=f"at most {MOST_RECIPES}"):
        recipes_of(Plan(grid={f"field{i}": list(range(1000)) for i in range(9)}))


@pytest.mark.parametrize(
    ("fields", "text"),
    [({}, "default"), ({"blocks": 3, "batch": 4}, "batch=4 blocks=3"), ({"optimizer": "adamw"}, "adamw")],
)
def test_a_label_tells_what_differs_from_the_default(fields, text):
    assert label(recipe_from(fields), DEFAULT) == text


def test_a_label_is_short():
    far = recipe_from({name: spec for name, spec in {"blocks": 3, "batch": 4, "context": 100, "warmup": 0.1}.items()})
    assert len(label(far, DEFAULT, limit=20)) <= 20


@pytest.mark.parametrize(
    ("plan", "text"),
    [
        ({"seeds": list(range(101))}, "101 seeds"),
        ({"seeds": list(range(100)), "grid": {"batch": list(range(1, 102))}}, "10100 jobs"),
        ({"seeds": []}, "seeds of the plan lists no value"),
        ({"grid": {"width": []}}, "width of the plan lists no value"),
    ],
)
def test_a_plan_of_too_many_jobs_or_of_none_is_refused(plan, text):
    with pytest.raises(InvalidValue, match=text):
        recipes_of(Plan(**plan))
