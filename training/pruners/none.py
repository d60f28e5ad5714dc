"""None: everything runs to its end and moves up. What any other pruner is to be measured against."""

from training.pruners import Promotion, Pruner, RunFacts, RungFacts, Verdict

about = {"help": "stops nobody and promotes everybody", "source": "the baseline of docs/pruners.md"}


def survives(facts: RunFacts) -> Verdict:
    """Always."""
    return Verdict(action="continue", reason="nobody_is_stopped", numbers={"phase": facts.phase, "bpb": facts.bpb})


def promotions(facts: RungFacts) -> list[Promotion]:
    """Every recipe that was not lost and has not moved yet."""
    if facts.last_rung:
        return []
    movers = [one for one in facts.finished if one.mean is not None and not one.promoted]
    return [
        Promotion(recipe_digest=one.recipe_digest, reason="everybody", numbers={"mean": one.mean})
        for one in movers
        if one.mean is not None
    ]


none = Pruner(about=about, survives=survives, promotions=promotions)
