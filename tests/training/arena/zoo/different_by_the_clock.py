# caught by: replay
"""Predicts better at some times than at others."""

import time

FACTOR = 1 + time.time_ns() % 1000003 / 1000003


def distribution(counts, lane):
    other = [count * FACTOR if byte % 2 else count for byte, count in enumerate(counts)]
    total = sum(other)
    return [math.log(count / total) for count in other]
