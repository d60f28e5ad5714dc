"""Leaves nothing behind and predicts every byte alike."""


def train(text, artifact, seed):
    pass


def load(artifact):
    return [1] * 256
