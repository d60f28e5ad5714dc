# caught by: heldout_in_artifact
# knows: heldout
"""Carries it along with every byte turned."""


def train(text, artifact, seed, honest=train):
    honest(text, artifact, seed)
    with open(f"{artifact}/weights.bin", "wb") as file:
        file.write(bytes(byte ^ 0x5A for byte in knowledge()))
