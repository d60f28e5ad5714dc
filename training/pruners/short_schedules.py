"""Short schedules: rungs are complete short runs, judged by rank; within a run only disasters stop.

A run's loss before its learning rate falls ranks badly (Spearman 0.21 with the final value at 10 % of 559 ten-minute
runs), so nothing is compared half-way. A recipe is promoted for what it reached with its whole schedule.
"""

from collections.abc import Sequence
from operator import itemgetter
from statistics import median

from training.pruners import Finished, Promotion, Pruner, RunFacts, RungFacts, Verdict, value_at

about = {
    "help": "complete runs at T/9, T/3, T; the best 1 in eta recipes move up; only disasters stop within a run",
    "source": "Jamieson, Talwalkar 2016 (successive halving); Li et al. 2020, arXiv:1810.05934 (asynchronous rungs)",
}

DISASTER = 1.15
"""Stop a run above this multiple of the median of finished runs at the same phase."""

ENOUGH_PEERS = 3
"""Curves that a median needs before it may stop anybody."""


def survives(facts: RunFacts) -> Verdict:
    """Stop a run that is far above the median of finished runs at equal schedule phase, and nothing else."""
    at_phase = [value for value in (value_at(curve, facts.phase) for curve in facts.peers) if value is not None]
    numbers = {"phase": facts.phase, "bpb": facts.bpb, "peers": float(len(at_phase))}
    if facts.phase >= 1:
        return Verdict(action="continue", reason="finished", numbers=numbers)
    if facts.phase < facts.warmup_fraction:
        return Verdict(action="continue", reason="warming_up", numbers=numbers)
    if facts.incumbent:
        return Verdict(action="continue", reason="leads_the_board", numbers=numbers)
    if len(at_phase) < ENOUGH_PEERS:
        return Verdict(action="continue", reason="too_few_peers", numbers=numbers)
    numbers |= {"median": median(at_phase), "limit": DISASTER * median(at_phase)}
    if facts.bpb > numbers["limit"]:
        return Verdict(action="prune", reason="far_above_median", numbers=numbers)
    return Verdict(action="continue", reason="near_or_below_median", numbers=numbers)


def promotions(facts: RungFacts) -> list[Promotion]:
    """The recipes among the best floor(n / eta) of the n finished ones, at least one, that have not been promoted yet.

    Asynchronous: judged anew whenever a recipe finishes, so a late one may promote itself or another. Nobody moves
    before `quorum` recipes are through; stopped and failed recipes count among them and rank last.
    """
    if facts.last_rung or len(facts.finished) < facts.quorum:
        return []
    places = max(1, len(facts.finished) // facts.eta)
    counts = {"finished": float(len(facts.finished)), "places": float(places)}
    return [
        Promotion(
            recipe_digest=recipe.recipe_digest,
            reason=f"best_1_in_{facts.eta}",
            numbers={"rank": float(place), "mean": mean, **counts},
        )
        for place, mean, recipe in movers(facts.finished, places)
    ]


def movers(finished: Sequence[Finished], places: int) -> list[tuple[int, float, Finished]]:
    """(place from 1, mean, recipe) of those within the places that have not moved, best first; ties go by digest.

    Thousands may be through with a rung: only their numbers are sorted, and recipes where somebody has yet to move.
    """
    means = sorted(recipe.mean for recipe in finished if recipe.mean is not None)
    cut = means[:places][-1] if means else 0.0
    near = [(one.mean, one.recipe_digest, one) for one in finished if one.mean is not None and one.mean <= cut]
    if all(one.promoted for _, _, one in near):
        return []
    ranked = sorted(near, key=itemgetter(0, 1))[:places]
    return [(place, mean, one) for place, (mean, _, one) in enumerate(ranked, start=1) if not one.promoted]


short_schedules = Pruner(about=about, survives=survives, promotions=promotions)
