# caught by: time_limit
# limits: train_seconds=0.5
"""Trains for ever."""

import time


def train(text, artifact, seed):
    while True:
        time.sleep(0.01)
