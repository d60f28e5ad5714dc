# caught by: output_limit
"""Prints without end beside the protocol."""


def learn(counts, told):
    while True:
        os.write(2, b"x" * 65536)
