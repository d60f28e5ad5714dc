"""Sequential: deeper blocks have more levels, and all starts are learned at the slowest level's pace."""

from training.cms import Variant, together

about = {
    "help": "deeper blocks have more levels; all starts are learned at the pace of the slowest",
    "combines": {"cms.heads": [1], "cms.stack": [0.0]},
    "source": "Behrouz et al. 2025, arXiv:2512.24695, equation 73",
}


def depth(block: int, blocks: int, levels: int) -> int:
    """ceil(levels (block + 1) / blocks): never fewer than in the block before, all in the last."""
    return -(-levels * (block + 1) // blocks)


def start(level: int, depth: int) -> int | None:
    """The slowest level; none for itself."""
    return depth - 1 if level < depth - 1 else None


sequential = Variant(about, depth=depth, phase=together, start=start)
