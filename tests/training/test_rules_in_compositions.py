"""Every memory rule trains in every composition that takes one: the whole way from a recipe to a falling loss."""

import pytest

from training.compositions import compositions
from training.rules import rules
from training.run import Run
from training.windows import as_tensor

NINE = ("hebbian", "delta", "titans", "atlas", "moneta", "yaad", "memora", "lattice", "trellis")
"""The rules of the papers; the others are forms or relatives of these and are trained less here."""

TAKING = [name for name in compositions if "*" in compositions.about(name)["combines"]["rule"]]
PAIRS = [(rule, name) for name in TAKING for rule in rules if rule in NINE or name == "mag"]


@pytest.mark.parametrize(("rule", "composition"), PAIRS, ids=["-".join(pair) for pair in PAIRS])
def test_a_short_run_is_finite_and_learns(small, texts, rule, composition):
    steps, part = (12, 0.5) if rule in NINE else (6, 0.95)
    recipe = small(rule=rule, composition=composition, context=40, window=8, ngram=0, warmup=0.0)
    run, text = Run(recipe, 1597, steps), as_tensor(texts.split("train"))
    losses = [run.train(text) for _ in range(steps)]
    assert run.finite()
    assert sum(losses[-3:]) / 3 < part * losses[0]
    assert run.effective().digest == recipe.digest
