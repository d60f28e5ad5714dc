from dataclasses import dataclass, field
from statistics import mean, stdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errors import InvalidValue, UnknownName
from kernels.formats import formats
from training.format_fields import PLACES, WIDE
from training.matrix import matrix_of
from training.matrix_plan import NARROW_BITS, MatrixPlan, matrix_recipes
from training.plan import Plan, recipes_of
from training.recipe import recipe_from

NAMES = [name for name, one in formats.items() if one.precision_class not in WIDE]


@dataclass
class Known:
    recipe: str
    bpbs: tuple = ()
    quantized: dict | None = None
    lost: str | None = None
    rung: int = 0
    mean: float | None = field(init=False)
    sd: float | None = field(init=False)

    def __post_init__(self):
        self.mean = mean(self.bpbs) if self.bpbs else None
        self.sd = stdev(self.bpbs) if self.bpbs else None


def known(fields, *bpbs, share=None, **more):
    recipe = recipe_from(fields)
    weights = {"format": recipe.weights, "share": share, "zero": 0.5}
    return recipe, Known(recipe.digest, bpbs, {"weights": weights} if share is not None else None, **more)


@settings(deadline=None)
@given(st.lists(st.sampled_from(NAMES), min_size=1, max_size=6), st.sampled_from([["adamw"], ["adamw", "muon", "sgd"]]))
def test_a_plan_has_every_format_with_every_optimizer_once_and_fp32_first(names, optimizers):
    recipes = [recipe_from(one) for one in matrix_recipes(MatrixPlan(formats=names, optimizers=optimizers))]
    assert len({recipe.digest for recipe in recipes}) == len(recipes)
    assert [recipe.optimizer for recipe in recipes] == optimizers * (len(recipes) // len(optimizers))
    assert recipes[0].digest == recipe_from({"optimizer": optimizers[0]}).digest
    for name in names:
        mine = [recipe for recipe in recipes if recipe.weights == name and recipe.optimizer == "adamw"]
        scalings = {recipe.options.get("weights.scaling") for recipe in mine}
        own = formats[name].defaults.scaling
        both = (
            formats[name].bits <= NARROW_BITS and own in ("none", "pow2") and len(formats[name].admits["scaling"]) > 1
        )
        assert name == "fp32" or scalings == ({"none", "pow2"} if both else {own})
        assert len(mine) == len(scalings)


def test_aliases_are_one_row_and_what_does_not_exist_or_lacks_a_side_is_refused():
    cells = matrix_recipes(MatrixPlan(formats=["half", "fp16", "binary32"], optimizers=["adamw", "adamw"]))
    assert [cell.get("weights") for cell in cells] == ["fp32", "fp16"]
    with pytest.raises(UnknownName, match="Did you mean 'bf16'"):
        matrix_recipes(MatrixPlan(formats=["bf17"]))
    for wrong in (
        MatrixPlan(formats=[]),
        MatrixPlan(formats=["bf16"], optimizers=[]),
        MatrixPlan(formats=["bf16"], place="w"),
    ):
        with pytest.raises(InvalidValue):
            matrix_recipes(wrong)


def test_a_plan_takes_a_matrix_over_its_base_beside_recipes():
    plan = Plan(base={"width": 32}, recipes=[{"ngram": 2}], matrix=MatrixPlan(formats=["bf16"], place="gradients"))
    recipes = recipes_of(plan)
    assert {recipe.width for recipe in recipes} == {32}
    assert [(one.ngram, one.gradients, one.optimizer) for one in recipes] == [
        (2, "fp32", "muon"), (5, "fp32", "adamw"), (5, "fp32", "muon"), (5, "bf16", "adamw"), (5, "bf16", "muon"),
    ]  # fmt: skip


def test_cells_are_measured_identity_lost_open_or_holes():
    base = {"width": 32}
    table = matrix_of([
        known({**base, "optimizer": "adamw"}, 2.0, 2.5),
        known({**base, "optimizer": "muon"}, 1.5, 1.75),
        known({**base, "optimizer": "adamw", "weights": "bf16"}, 2.25, 2.75, share=0.75),
        known({**base, "optimizer": "muon", "weights": "fp64"}, lost="format_is_identity: weights fp64 changed none"),
        known({**base, "optimizer": "adamw", "weights": "gf8", "weights.scaling": "pow2"}, lost="diverged: at once"),
        known({**base, "optimizer": "muon", "weights": "gf8"}),
    ])  # fmt: skip
    assert (table.columns, table.shared) == (["adamw", "muon"], "width=32")
    assert [row.label for row in table.rows] == ["fp32", "fp64", "bf16", "gf8", "gf8 scaling=pow2"]
    states = {row.label: [cell.state if cell else None for cell in row.cells] for row in table.rows}
    assert states == {
        "fp32": ["identity", "identity"], "fp64": [None, "identity"], "bf16": ["measured", None],
        "gf8": [None, "open"], "gf8 scaling=pow2": ["lost", None],
    }  # fmt: skip
    bf16 = table.rows[2]
    assert (bf16.bits, round(bf16.phi_distance, 6)) == (16, 0.524823)
    assert (bf16.cells[0].mean, bf16.cells[0].n, bf16.cells[0].share, bf16.cells[0].zero) == (2.5, 2, 0.75, 0.5)
    assert table.rows[1].cells[1].mean is None
    assert table.rows[4].cells[0].note == "diverged: at once"


def test_equal_numbers_of_two_formats_are_pointed_out_within_a_column():
    table = matrix_of([
        known({"optimizer": "adamw"}, 8.0, 8.0),
        known({"optimizer": "adamw", "weights": "gf8"}, 8.0, 8.0, share=1.0),
        known({"optimizer": "adamw", "weights": "gf4"}, 8.0, 8.0 + 1e-15, share=1.0),
        known({"optimizer": "muon", "weights": "gf4"}, 8.0, 8.0, share=1.0),
    ])  # fmt: skip
    told = {row.label: [cell.equal_to if cell else None for cell in row.cells] for row in table.rows}
    assert told == {"fp32": [["gf8"], None], "gf8": [["fp32"], None], "gf4": [[], []]}


def test_what_else_differs_makes_rows_of_its_own_and_optimizer_options_columns():
    table = matrix_of([
        known({"weights": "bf16"}, 2.0, 2.0), known({"weights": "bf16", "ngram": 2}, 2.5, 2.0),
        known({"weights": "bf16", "muon.lr": 0.02}, 2.25, 2.0),
        known({"activations": "fp16", "gradients": "bf16", "gradients.rounding": "sr", "weights": "fp16"}, 3.0, 2.0),
    ])  # fmt: skip
    assert table.columns == ["muon", "muon lr=0.02"]
    assert [row.label for row in table.rows] == [
        "bf16 ngram=2", "bf16 ngram=5", "fp16 activations=fp16 gradients=bf16 gradients.rounding=sr ngram=5",
    ]  # fmt: skip


def test_every_recipe_of_a_plan_has_a_cell_of_its_own():
    for place in PLACES:
        names = [name for name in NAMES if place != "activations" or name in ("bf16", "int8", "mxfp4")]
        recipes = recipes_of(Plan(matrix=MatrixPlan(formats=names, place=place)))
        table = matrix_of([(recipe, Known(recipe.digest)) for recipe in recipes])
        assert sum(cell is not None for row in table.rows for cell in row.cells) == len(recipes)
        assert table.columns == ["adamw", "muon"]


def test_a_race_without_recipes_has_an_empty_table():
    assert matrix_of([]).rows == []
