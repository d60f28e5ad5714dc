"""Fallbacks: how often a kernel could not be used and its slower form was, by kernel and reason.

A plain count of this process. Whoever reports it takes it, and it begins again at zero.
"""

from collections import Counter

COUNTED: Counter[tuple[str, str]] = Counter()


def note(kernel: str, reason: str) -> None:
    """A slower form is used in the kernel's place. Both are short words: they become labels of a metric."""
    COUNTED[kernel, reason] += 1


def taken() -> dict[tuple[str, str], int]:
    """(kernel, reason) -> how often since the last time this was asked."""
    return {key: COUNTED.pop(key) for key in list(COUNTED)}
