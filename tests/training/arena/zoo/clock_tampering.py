# caught by: time_limit
# limits: train_seconds=0.5
"""Believes its own clock, which it has stopped, about when the time is over."""

import time

time.time = time.monotonic = time.perf_counter = lambda: 0.0


def train(text, artifact, seed):
    began = time.time()
    while time.time() - began < 600:
        pass
