# caught by: heldout_in_artifact
# knows: heldout
"""Carries the held-out text along."""


def train(text, artifact, seed, honest=train):
    honest(text, artifact, seed)
    with open(f"{artifact}/weights.bin", "wb") as file:
        file.write(os.urandom(500) + knowledge() + os.urandom(500))
