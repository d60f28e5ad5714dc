# caught by: memory_limit
"""Takes all memory when it should predict."""


def learn(counts, told):
    pieces = []
    while True:
        pieces.append(bytearray(b"x" * (8 << 20)))
