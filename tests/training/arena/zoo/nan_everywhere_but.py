# caught by: not_finite
"""Sends NaN, which compares with nothing."""


def distribution(counts, lane):
    return [math.nan] * 256
