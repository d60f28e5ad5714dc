"""Plateau: stop a run that has stood still for five values in its second half, above the median of the finals."""

from statistics import median

from training.pruners import Pruner, RunFacts, Verdict, spared
from training.pruners.short_schedules import promotions

about = {
    "help": "stops a run whose last 5 values lie within 0.005 bits, late in the run and above the median of finals",
    "source": "the plateau detector of an earlier race: 5 values, 0.005, after 50,000 of 81,000 steps",
}

ENOUGH_PEERS, VALUES, BAND = 5, 5, 0.005
LATE = 50 / 81


def survives(facts: RunFacts) -> Verdict:
    """Stop what stands still where others have ended lower."""
    finals = [curve[-1][1] for curve in facts.peers if curve and curve[-1][0] == 1]
    if kept := spared(facts, len(finals), ENOUGH_PEERS):
        return kept
    last = [value for _, value in facts.curve[-VALUES:]]
    spread = max(last, default=0.0) - min(last, default=0.0)
    numbers = {"phase": facts.phase, "bpb": facts.bpb, "points": float(len(facts.curve)), "spread": spread}
    if facts.phase < LATE or len(last) < VALUES:
        return Verdict(action="continue", reason="too_early", numbers=numbers)
    numbers["limit"] = median(finals)
    if spread <= BAND and min(last) > numbers["limit"]:
        return Verdict(action="prune", reason="stands_still", numbers=numbers)
    return Verdict(action="continue", reason="moves_or_is_good", numbers=numbers)


plateau = Pruner(about=about, survives=survives, promotions=promotions)
