# caught by: memory_limit
"""Takes all memory."""


def train(text, artifact, seed):
    pieces = []
    while True:
        pieces.append(bytearray(b"x" * (8 << 20)))
