"""Every memory rule trains in every composition that takes one: the whole way from a recipe to a falling loss."""

import pytest

from training.compositions import compositions
from training.rules import rules
from training.run import Run
from training.windows import as_tensor

PAIRS = [(rule, name) for name in compositions if "*" in compositions.about(name)["combines"]["rule"] for rule in rules]

TOKEN_BY_TOKEN = ("lattice", "memora", "moneta", "titans_mlp", "trellis", "yaad")
"""Rules without a form for many tokens at once: fewer steps here; `make sweep` gives every rule two hundred."""


@pytest.mark.parametrize(("rule", "composition"), PAIRS, ids=["-".join(pair) for pair in PAIRS])
def test_a_short_run_is_finite_and_learns(small, texts, rule, composition):
    steps, part = (5, 0.95) if rule in TOKEN_BY_TOKEN else (30, 0.75)
    recipe = small(rule=rule, composition=composition, context=64, batch=2, window=16, ngram=0, warmup=0.0)
    run, text = Run(recipe, 1597, steps), as_tensor(texts.split("train"))
    losses = [run.train(text) for _ in range(steps)]
    assert run.finite()
    assert sum(losses[-3:]) / 3 < part * losses[0]
    assert run.effective().digest == recipe.digest
