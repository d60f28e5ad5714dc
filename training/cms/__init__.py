"""Continuum memory system (CMS): the MLP of a block as several levels, each updated at its own pace. Imports no torch.

Level 0 is the block's own MLP and the fastest; level l has the period first * ratio^l. Between two updates a level is
read by every token and its gradients are gathered. A variant is a plug-in of pure functions: how many levels a block
has, when they fire, and at whose pace a level's start is learned. The literal `about` of this file holds the options
that every variant has, spelt `cms.option`. Source: Behrouz et al. 2025, arXiv:2512.24695 (nested learning, HOPE).
"""

from collections.abc import Callable
from dataclasses import dataclass

from plugins import About, Plugins

about = {
    "fields": {
        "levels": {"default": 2, "min": 1, "max": 4, "help": "levels k of a block; 1 is the plain block"},
        "first": {"default": 1, "min": 1, "max": 1048576, "help": "period of the fastest level"},
        "ratio": {"default": 8, "min": 2, "max": 64, "help": "period of a level over that of the next faster one"},
        "unit": {
            "default": "step",
            "choices": ["step", "token"],
            "help": "what periods count: optimizer steps, or bytes trained on",
        },
        "buffer": {
            "default": "sum",
            "choices": ["sum", "mean", "sqrt"],
            "help": "what an update takes of n gathered gradients: their sum, sum / n, sum / sqrt n",
        },
        "flush": {
            "default": "carry",
            "choices": ["carry", "apply", "discard"],
            "help": "what becomes of gathered gradients at the end of the budget",
        },
        "aggregation": {
            "default": "chain",
            "choices": ["chain", "parallel"],
            "help": "levels one after the other, or side by side and summed with learned weights",
        },
        "gates": {
            "default": "none",
            "choices": ["none", "learned"],
            "help": "whether slower levels are read always, or where a gate on the mean of the chunk before says so",
        },
        "gate_chunk": {"default": 16, "min": 1, "max": 4096, "help": "bytes over which a learned gate's mean is taken"},
        "anneal": {
            "default": 0.5,
            "min": 0.0,
            "max": 1.0,
            "help": "fraction of the budget in which learned gates take over from always reading",
        },
        "gate_penalty": {
            "default": 0.0,
            "min": 0.0,
            "max": 100.0,
            "help": "weight of the squared distance of a learned gate's mean from its level's pace over the fastest's",
            "later": True,
        },
        "heads": {
            "default": 1,
            "min": 1,
            "max": 16,
            "help": "parts of a slower level, each updated at steps of its own",
            "later": True,
        },
        "stack": {
            "default": 0.0,
            "min": 0.0,
            "max": 1.0,
            "help": "fraction of the budget in which levels are added one by one, each with what the last had learned",
            "later": True,
        },
    },
}
"""A variant's header may hold `defaults` of its own for these, and `least`: the smallest value of another field."""


@dataclass(frozen=True)
class Variant:
    """One arrangement of levels. Blocks and levels are counted from 0.

    depth: (block, blocks, levels) -> how many levels the block has
    phase: (block, blocks, period) -> the offset of the block's updates within the period
    start: (level, depth) -> the slower level at whose pace this one's start is learned and put back; None: it has none
    """

    about: About
    depth: Callable[[int, int, int], int]
    phase: Callable[[int, int, int], int]
    start: Callable[[int, int], int | None]


def everywhere(block: int, blocks: int, levels: int) -> int:
    """Every block has all levels."""
    return levels


def together(block: int, blocks: int, period: int) -> int:
    """All blocks update a level at the same step."""
    return 0


def free(level: int, depth: int) -> None:
    """A level goes on from where it is."""


cms = Plugins("training.cms", "cms")
