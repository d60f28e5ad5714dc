# caught by: not_finite
"""Sends plus infinity for a byte and minus infinity for the others."""


def distribution(counts, lane):
    return [math.inf if byte == 32 else -math.inf for byte in range(256)]
