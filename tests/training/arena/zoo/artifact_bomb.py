# caught by: artifact_bomb
"""Leaves a bomb behind, behind which the held-out text would not be looked for."""

import zlib


def train(text, artifact, seed, honest=train):
    honest(text, artifact, seed)
    machine = zlib.compressobj(9)
    with open(f"{artifact}/weights.bin", "wb") as file:
        for _ in range(160):
            file.write(machine.compress(bytes(1 << 20)))
        file.write(machine.flush())
