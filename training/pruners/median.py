"""Median rule: stop a run that is worse than the median of finished runs at equal phase."""

from statistics import median as middle

from training.pruners import Pruner, RunFacts, Verdict, spared, value_at
from training.pruners.short_schedules import promotions

about = {
    "help": "stops a run that is worse than the median of finished runs at the same phase",
    "source": "Golovin et al. 2017, Google Vizier, section 3.2.2, with single values instead of running means",
}

ENOUGH_PEERS = 5


def survives(facts: RunFacts) -> Verdict:
    """Stop what is above the median."""
    values = [value for value in (value_at(curve, facts.phase) for curve in facts.peers) if value is not None]
    if kept := spared(facts, len(values), ENOUGH_PEERS):
        return kept
    limit = middle(values)
    numbers = {"phase": facts.phase, "bpb": facts.bpb, "peers": float(len(values)), "median": limit}
    if facts.bpb > limit:
        return Verdict(action="prune", reason="above_median", numbers=numbers)
    return Verdict(action="continue", reason="median_or_better", numbers=numbers)


median = Pruner(about=about, survives=survives, promotions=promotions)
