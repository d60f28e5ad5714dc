# caught by: extra_bytes
"""Appends rounds of its own to the text."""


def predict_more(artifact, seed, honest=predict):
    honest(artifact, seed)
    send(rows(load(artifact), 1))


predict = predict_more
