# caught by: artifact_size
"""Leaves more behind than the track allows, each file small."""


def train(text, artifact, seed, honest=train):
    honest(text, artifact, seed)
    for number in range(10):
        with open(f"{artifact}/{number}.bin", "wb") as file:
            file.write(os.urandom(100_000))
