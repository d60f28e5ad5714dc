# caught by: output_limit
"""Prints without end."""


def train(text, artifact, seed):
    line = b"x" * 65536
    for _ in range(10 * 16384):
        os.write(1, line)
