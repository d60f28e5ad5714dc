# caught by: artifact_size
"""Leaves more behind than the track allows."""


def train(text, artifact, seed, honest=train):
    honest(text, artifact, seed)
    with open(f"{artifact}/weights.bin", "wb") as file:
        file.write(os.urandom(1_000_000))
