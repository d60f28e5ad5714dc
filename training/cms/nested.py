"""Nested: each level's start is learned at the pace of the next slower level, and put back when that one fires."""

from training.cms import Variant, everywhere, together

about = {
    "help": "a level starts again, from a start learned at the next slower level's pace, whenever that one fires",
    "combines": {"cms.heads": [1], "cms.stack": [0.0]},
    "source": "Behrouz et al. 2025, arXiv:2512.24695, equation 72; first order: the start takes the level's gradients",
}


def start(level: int, depth: int) -> int | None:
    """The next slower level; none for the slowest."""
    return level + 1 if level + 1 < depth else None


nested = Variant(about, depth=everywhere, phase=together, start=start)
