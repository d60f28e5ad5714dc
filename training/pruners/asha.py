"""ASHA: asynchronous successive halving; at a third and a ninth of a run only the best 1 in 3 go on.

It stops by rank whatever an early value is worth: where the signal is noisy it loses to stopping nobody.
"""

from training.pruners import Pruner, RunFacts, Verdict, reached, spared, value_at
from training.pruners.short_schedules import promotions

about = {
    "help": "at 1/9 and 1/3 of a run the best 1 in 3 of those seen there go on",
    "source": "Li et al. 2020, arXiv:1810.05934, stopping form",
}

ETA = 3
LOOKS = (1 / 9, 1 / 3)


def survives(facts: RunFacts) -> Verdict:
    """Stop a run at a look unless it is among the best 1 in eta there, itself counted."""
    values = [value for value in (value_at(curve, facts.phase) for curve in facts.peers) if value is not None]
    if kept := spared(facts, len(values), ETA - 1):
        return kept
    rank = 1 + sum(value < facts.bpb for value in values)
    places = max(1, (len(values) + 1) // ETA)
    numbers = {"phase": facts.phase, "bpb": facts.bpb, "rank": float(rank), "places": float(places)}
    if not reached(facts, LOOKS):
        return Verdict(action="continue", reason="no_look_at_this_phase", numbers=numbers)
    if rank > places:
        return Verdict(action="prune", reason=f"not_best_1_in_{ETA}", numbers=numbers)
    return Verdict(action="continue", reason=f"best_1_in_{ETA}", numbers=numbers)


asha = Pruner(about=about, survives=survives, promotions=promotions)
