"""Race aware: measure what an early value is worth in this race, and hold fire where it is worth little.

A run is compared at few looks only, with runs that are complete. It is stopped when its chance to end among the best
is below one in a hundred. Whoever can pause a run and resume it does better: `training.race_of_runs`, docs/pruners.md.
"""

from bisect import bisect_left

import numpy as np

from training.foresight import Settings, chances, measured, normal_score, trusted
from training.pruners import Pruner, RunFacts, Verdict, reached, spared, value_at
from training.pruners.short_schedules import promotions

about = {
    "help": "stops a run whose chance to end among the best is below 1 %, as measured in this race",
    "source": "docs/pruners.md",
}

SETTINGS = Settings(give_up=0.01)

ENOUGH_PEERS = 5
"""Complete runs without which nobody is stopped: fewer have no best part to speak of."""


def survives(facts: RunFacts) -> Verdict:
    """Stop a run at a look when its chance to end among the best is next to nothing."""
    known = [(value_at(curve, facts.phase), curve[-1][1]) for curve in facts.peers if curve and curve[-1][0] == 1]
    pairs = [(early, final) for early, final in known if early is not None]
    if kept := spared(facts, len(pairs), ENOUGH_PEERS):
        return kept
    numbers = {"phase": facts.phase, "bpb": facts.bpb, "peers": float(len(pairs))}
    if not reached(facts, SETTINGS.looks):
        return Verdict(action="continue", reason="no_look_at_this_phase", numbers=numbers)
    early, finals = np.array(pairs).T
    place = bisect_left(np.sort(early).tolist(), facts.bpb)
    correlation = trusted([measured(early, finals, facts.phase, SETTINGS)])
    mean, sd = correlation * normal_score(place, len(pairs) + 1), np.sqrt(1 - correlation**2)
    chance = float(chances(mean, sd, SETTINGS.top)[0])
    numbers |= {"rank": place + 1.0, "correlation": float(correlation[0]), "chance": chance}
    if place and chance < SETTINGS.give_up:
        return Verdict(action="prune", reason="no_hope", numbers=numbers | {"expected_loss": chance})
    return Verdict(action="continue", reason="may_be_among_the_best", numbers=numbers | {"expected_loss": 0.0})


race_aware = Pruner(about=about, survives=survives, promotions=promotions)
