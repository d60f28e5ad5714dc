# caught by: wrong_rows
"""Predicts only the first of the lanes."""


def rows(counts, lanes):
    return struct.pack("<256f", *distribution(counts, 0))
