# caught by: forbidden_call
"""Turns the clock of the machine back."""

import time


def train(text, artifact, seed):
    time.clock_settime(time.CLOCK_REALTIME, 0.0)
