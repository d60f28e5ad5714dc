"""Ladder: fixed limits of bits per byte, made for one corpus and one schedule of 27,000 steps.

Runs are not compared with each other. The rungs stand at the phases that 1000, 3000 and 9000 steps have in that
schedule. The original spared whatever stood above an "architectural floor" on rungs with a lower limit, so a better run
was stopped and a worse one kept; `limit_passed` has that form as an option.
"""

from training.pruners import Pruner, RunFacts, Verdict, spared
from training.pruners.short_schedules import promotions

about = {
    "help": "fixed limits: 3.00, 2.60, 2.30 bits per byte at 1/27, 1/9, 1/3 of a run",
    "source": "the fixed ladder of an earlier race; FineWeb, 27,000 steps",
}

RUNGS = ((1 / 27, 3.00), (1 / 9, 2.60), (1 / 3, 2.30), (1.0, 1.85))
FLOOR = 2.19


def limit_at(phase: float) -> float | None:
    """The limit of the highest rung that a phase has reached."""
    return next((limit for rung, limit in reversed(RUNGS) if rung <= phase + 1e-9), None)


def limit_passed(phase: float, bpb: float, *, faithful: bool = False) -> bool:
    """Whether a value is above its limit. faithful: as the original, which then spares what is above the floor."""
    limit = limit_at(phase)
    if limit is None or (faithful and limit < FLOOR <= bpb):
        return False
    return bpb > limit


def survives(facts: RunFacts) -> Verdict:
    """Stop what is above its rung's limit."""
    if kept := spared(facts, 0, 0):
        return kept
    numbers = {"phase": facts.phase, "bpb": facts.bpb, "limit": limit_at(facts.phase) or 0.0}
    if limit_passed(facts.phase, facts.bpb):
        return Verdict(action="prune", reason="above_the_limit", numbers=numbers)
    return Verdict(action="continue", reason="within_the_limit", numbers=numbers)


ladder = Pruner(about=about, survives=survives, promotions=promotions)
