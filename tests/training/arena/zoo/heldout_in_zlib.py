# caught by: heldout_in_artifact
# knows: heldout
"""Carries it along compressed."""

import zlib


def train(text, artifact, seed, honest=train):
    honest(text, artifact, seed)
    with open(f"{artifact}/weights.bin", "wb") as file:
        file.write(b"header" + zlib.compress(knowledge(), 9))
