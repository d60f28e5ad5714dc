"""Independent: every block has a schedule of its own, and its levels are summed with learned weights."""

from training.cms import Variant, everywhere, free

about = {
    "help": "every block updates at its own steps; levels stand side by side with learned weights",
    "source": "Behrouz et al. 2025, arXiv:2512.24695, equation 74",
    "defaults": {"aggregation": "parallel"},
}


def phase(block: int, blocks: int, period: int) -> int:
    """Blocks are spread evenly over the period."""
    return block * period // blocks


independent = Variant(about, depth=everywhere, phase=phase, start=free)
