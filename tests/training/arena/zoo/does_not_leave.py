# caught by: late_rows
"""Stays when everything is told."""


def predict_and_stay(artifact, seed, honest=predict):
    honest(artifact, seed)
    while True:
        pass


predict = predict_and_stay
