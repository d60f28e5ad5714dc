import pytest

from training.grids import DEFAULT_RECIPES, GRIDS
from training.phi import ladder
from training.plan import Plan, recipes_of


@pytest.mark.parametrize("name", GRIDS)
def test_every_named_grid_is_a_plan(name):
    recipes = recipes_of(Plan(grid=GRIDS[name]))
    assert len(recipes) > 1
    assert len({recipe.digest for recipe in recipes}) == len(recipes)


def test_the_phi_ladder_is_one_optimizer_at_six_learning_rates():
    recipes = recipes_of(Plan(grid=GRIDS["phi_ladder"]))
    assert [recipe.options["adamw_phi.lr"] for recipe in recipes] == ladder(6)
    assert {recipe.optimizer for recipe in recipes} == {"adamw_phi"}


def test_the_default_recipes_are_all_different():
    assert len(recipes_of(Plan(recipes=DEFAULT_RECIPES))) == len(DEFAULT_RECIPES)
