"""Trains in threads."""

import threading


def train(text, artifact, seed, honest=train):
    workers = [threading.Thread(target=honest, args=(text, artifact, seed)) for _ in range(1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
