# caught by: wrong_rows
"""Predicts lanes that there are not, to make the text longer."""


def rows(counts, lanes):
    return struct.pack("<256f", *distribution(counts, 0)) * (lanes + 50)
