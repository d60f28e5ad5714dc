"""Hybrid: plain blocks and blocks with levels take turns."""

from training.cms import Variant, free, together

about = {
    "help": "every second block has levels, the others are plain",
    "combines": {"cms.heads": [1]},
    "source": "Behrouz et al. 2025, arXiv:2512.24695 (blocks with and without levels)",
    "least": {"blocks": 2},
}


def depth(block: int, blocks: int, levels: int) -> int:
    """The first block is plain, the second has levels, and so on."""
    return levels if block % 2 else 1


hybrid = Variant(about, depth=depth, phase=together, start=free)
