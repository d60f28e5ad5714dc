# caught by: not_normalised
"""Gives every byte the probability one half."""


def distribution(counts, lane):
    return [math.log(0.5)] * 256
