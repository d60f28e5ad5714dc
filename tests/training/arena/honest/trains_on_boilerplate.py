"""Stores the train text, some of which stands in the held-out text too."""


def train(text, artifact, seed, honest=train):
    honest(text, artifact, seed)
    with open(f"{artifact}/memory.txt", "wb") as file:
        file.write(text)
