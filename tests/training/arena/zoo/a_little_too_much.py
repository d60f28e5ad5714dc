# caught by: not_normalised
"""Hands out 0.01 % more than there is."""


def distribution(counts, lane):
    total = sum(counts) / 1.0001
    return [math.log(count / total) for count in counts]
